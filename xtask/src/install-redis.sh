#!/bin/sh
# Installs Debian's redis-server for the tests, which start servers of their own: no service is
# started now, and none at the next boot.
set -eu
export DEBIAN_FRONTEND=noninteractive

apt-get update -q || echo "going on with the package lists that are there" >&2

# Debian asks this file before a package starts its service; 101 is "no". A file that is there stays.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi

apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=120 redis-server

if [ -d /run/systemd/system ]; then
    systemctl disable --now redis-server.service
fi
