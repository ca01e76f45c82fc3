#!/bin/sh
# Installs the system packages that phones, the native runners, the emulated Arm device and the
# Android app need.
#
#   sudo runtime_bench/install_system_packages.sh
#
# adb                      talks to phones and emulators
# qemu-user                runs Arm programs on this machine (the emulated device)
# g++, make, cmake         build the native runners for this machine
# g++-aarch64-linux-gnu    builds them for 64-bit Arm, and brings the C library they run with
# nlohmann-json3-dev       the JSON library of the runners
# openjdk-17, maven        build and test the Android app
#
# For Debian and Ubuntu; needs root. Nothing else on the system changes. Then: make native
set -eu

packages="adb qemu-user g++ make cmake nlohmann-json3-dev
  gcc-aarch64-linux-gnu g++-aarch64-linux-gnu openjdk-17-jdk-headless maven"

case "${1:-}" in
"") ;;
-h | --help)
  sed -n '2,/^set/{s/^# \{0,1\}//;/^set/!p}' "$0"
  exit 0
  ;;
*)
  echo "There is no option $1. See: $0 --help" >&2
  exit 2
  ;;
esac

if ! command -v apt-get > /dev/null; then
  echo "This script knows Debian and Ubuntu only. Install the like of these packages:" >&2
  echo "  $packages" >&2
  exit 2
fi

missing=""
for package in $packages; do
  state=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2> /dev/null || true)
  [ "$state" = installed ] || missing="$missing $package"
done
if [ -z "$missing" ]; then
  echo "Everything is installed. Next: make native, make apk"
  exit 0
fi

if [ "$(id -u)" -ne 0 ]; then
  echo "Installing packages needs root. Run: sudo $0" >&2
  exit 2
fi

echo "Installing:$missing"
apt-get update
# shellcheck disable=SC2086 # a list of names
DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $missing
echo "Done. Next: make native, make apk"
