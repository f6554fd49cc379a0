# Google Research Football, compiled in the image (or from a wheel in /wheels); sourced by install.sh.
apt-get update
FOOTBALL_WHEELS=/wheels bash containers/install_football.sh /opt/partage/bin/python
rm -rf build
apt-get purge --yes build-essential cmake python3-dev 2>/dev/null || true
apt-get autoremove --yes
