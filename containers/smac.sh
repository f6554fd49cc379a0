# StarCraft II 4.10 and its maps; sourced by install.sh. The game is Blizzard's and may not be passed on, so neither may an
# image that holds it. It comes from one of:
#   /game/*.zip       the Linux package 4.10, bound there from this machine, or
#   SC2_LICENCE       the password that stands below Blizzard's AI and Machine Learning License, which you accept by typing
#                     it (https://github.com/Blizzard/s2client-proto#downloads): then it is downloaded, about 4 GB, or
#   neither: bind a game that is installed already over /opt/StarCraftII when the image is run.
apt-get update
apt-get install --yes --no-install-recommends git unzip curl
install smac
game=/opt/StarCraftII
mkdir -p "$game"
archive=$(find /game -maxdepth 1 -name '*.zip' ! -name 'SMAC_Maps*' 2>/dev/null | head -n 1)
if [ -z "$archive" ] && [ -n "${SC2_LICENCE:-}" ]; then
    archive=/tmp/SC2.zip
    curl --fail --location --retry 3 --output "$archive" https://blzdistsc2-a.akamaihd.net/Linux/SC2.4.10.zip
fi
if [ -n "$archive" ]; then
    # without the password unzip says so and stops; what no episode needs stays out
    unzip -q -P "${SC2_LICENCE:-}" "$archive" -x '*/Battle.net/*' '*/Replays/*' -d /opt </dev/null
    [ -s "$game/Versions/Base75689/SC2_x64" ] || { echo "$archive holds no StarCraft II 4.10 (Base75689)"; exit 1; }
    chmod +x "$game/Versions/Base75689/SC2_x64"
    rm -f /tmp/SC2.zip
fi
maps=$(find /game -maxdepth 1 -name 'SMAC_Maps*.zip' 2>/dev/null | head -n 1)
if [ -z "$maps" ]; then
    maps=/tmp/SMAC_Maps.zip
    curl --fail --location --retry 3 --output "$maps" \
        https://github.com/oxwhirl/smacv2/releases/download/maps/SMAC_Maps.zip
fi
mkdir -p "$game/Maps"
unzip -q -o "$maps" -d "$game/Maps"
rm -f /tmp/SMAC_Maps.zip
