#!/bin/sh
# Runs a command beside an arm64 adbd, in namespaces of their own (see namespace.py):
#
#   inside.sh MADE SYSTEM DATA CPU COMMAND...
#
# MADE: what root.py made. SYSTEM: the folder of a profile, with proc/cpuinfo and sys, as the
# emulated phone sees them. DATA becomes the phone's /data. CPU: the emulator's name of the
# processor. The command finds the phone as 127.0.0.1:5777 at the usual adb server.
set -eu
root=$1/root emulator=$1/emulator
system=$2 data=$3 processor=$4
shift 4

ip link set lo up
# Arm programs are given to the emulator; the flags let it run in the other root (F), with the
# program's own name (P) and rights (C). The register file is this namespace's own.
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
printf ':arm64:M::%s:%s:%s:FPC' "$magic" "$mask" "$emulator" > /proc/sys/fs/binfmt_misc/register

mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount --bind "$system/proc/cpuinfo" "$root/proc/cpuinfo"
mount --bind "$system/sys" "$root/sys"
mkdir -p "$data/local/tmp"
mount --bind "$data" "$root/data"

QEMU_CPU=$processor LC_ALL=C PATH=/usr/bin ADBD_PORT=5777 \
    /usr/sbin/chroot "$root" /usr/sbin/adbd > "$data/adbd.log" 2>&1 &
tries=0
until adb connect 127.0.0.1:5777 | grep -q '^connected'; do
    tries=$((tries + 1))
    if [ "$tries" -gt 100 ]; then
        cat "$data/adbd.log" >&2
        exit 99
    fi
    sleep 0.2
done
timeout 30 adb -s 127.0.0.1:5777 wait-for-device
"$@"
