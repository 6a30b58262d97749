# Sourced by the other scripts: a Python for the reference decoder in target/venv, with its two packages.
python=target/venv/bin/python
if ! "$python" -c 'import numpy, zstandard' 2>/dev/null; then
    if ! python3 -m venv target/venv 2>/dev/null; then
        [ "$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null
        python3 -m venv --clear target/venv
    fi
    "$python" -m pip install --quiet --disable-pip-version-check numpy zstandard
fi
