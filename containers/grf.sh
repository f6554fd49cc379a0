# Google Research Football, compiled in the image or from a wheel in /wheels; sourced by install.sh.
apt-get update
# Debian's python3 needs no shared library of itself, but the engine does
apt-get install --yes --no-install-recommends "lib$(python3 -c 'import sys; print("python%d.%d" % sys.version_info[:2])')"
FOOTBALL_WHEELS=/wheels bash containers/install_football.sh /opt/partage/bin/python
rm -rf build
apt-get purge --yes build-essential cmake 2>/dev/null || true  # python3-dev would take Boost along
apt-get autoremove --yes
/opt/partage/bin/python -c "import gfootball.env"
