"""The commands of the phone's system, as scripts around files of its $STATE and its $ROOT.

Only what a phone has of its own is written here; the rest are the host's tools of the same name.
"""

from collections.abc import Mapping

# What Android's toybox has of the host's tools.
HOST_TOOLS = (
    *("[", "basename", "cat", "chmod", "cp", "cut", "date", "dd", "dirname", "du", "echo", "env"),
    *("expr", "false", "find", "grep", "head", "id", "kill", "ls", "md5sum", "mkdir", "mv", "nl"),
    *("nohup", "od", "printf", "pwd", "readlink", "rm", "rmdir", "sed", "seq", "setsid", "sh"),
    *("sha256sum", "sleep", "sort", "stat", "tail", "taskset", "tee", "test", "timeout", "touch"),
    *("tr", "true", "uname", "uniq", "wc", "which", "xargs"),
)

_GETPROP = r"""
if [ $# -eq 0 ]; then cat "$STATE/properties"; exit; fi
name=$(printf %s "$1" | sed 's/\./\\./g')
value=$(sed -n "s/^\[$name\]: \[\(.*\)\]$/\1/p" "$STATE/properties")
echo "${value:-$2}"
"""

_DUMPSYS = """
if [ ! -e "$STATE/dumpsys/$1" ]; then echo "Can't find service: $1" >&2; exit 0; fi
cat "$STATE/dumpsys/$1"
"""

# Fixed performance mode came with Android 11 (SDK 30). It holds the clocks below their highest.
_CMD = """
if [ "$1 $2" != "power set-fixed-performance-mode-enabled" ]; then
    echo "cmd: Can't find service: $1" >&2; exit 20
fi
if [ ! -e "$STATE/has-fixed-performance" ]; then echo "Unknown command: $2" >&2; exit 255; fi
echo "$3" > "$STATE/fixed-performance"
if [ -e "$STATE/fixed-performance-does-nothing" ]; then exit 0; fi
for folder in "$ROOT"/sys/devices/system/cpu/cpu[0-9]/cpufreq; do
    [ -L "$folder/scaling_max_freq" ] && continue
    read -r highest < "$folder/cpuinfo_max_freq"
    low=300000; high=$highest
    if [ "$3" = true ]; then low=$((highest * 6 / 10)); high=$low; fi
    echo $low > "$folder/scaling_min_freq"
    echo $high > "$folder/scaling_max_freq"
    echo $high > "$folder/scaling_cur_freq"
done
"""

_SVC = """
if [ "$1 $2 $3" = "power stayon true" ]; then
    echo 15 > "$STATE/settings/global.stay_on_while_plugged_in"
fi
"""

_SETTINGS = """
file="$STATE/settings/$2.$3"
case "$1" in
    get) if [ -e "$file" ]; then cat "$file"; else echo null; fi ;;
    put) echo "$4" > "$file" ;;
    delete) rm -f "$file"; echo "Deleted 1 rows" ;;
esac
"""

_INPUT = """
if [ "$1 $2" = "keyevent KEYCODE_WAKEUP" ] || [ "$1 $2" = "keyevent 224" ]; then
    if [ -e "$STATE/screen-stays-off" ]; then exit 0; fi
    sed -i 's/mWakefulness=.*/mWakefulness=Awake/; s/state=OFF/state=ON/' "$STATE/dumpsys/power"
fi
"""

_DF = """
echo "Filesystem 1K-blocks Used Available Use% Mounted on"
echo "/dev/block/dm-8 114000000 $((114000000 - $(cat "$STATE/free-kib")))" \
    "$(cat "$STATE/free-kib") 50% /data"
"""

# Only the phone's own processes, which have its STATE in their environment.
_PKILL = """
for place in $(grep -lzxF "STATE=$STATE" /proc/[0-9]*/environ 2>/dev/null); do
    process=${place#/proc/}; process=${process%/environ}
    if [ "$process" != $$ ] && tr '\\0' ' ' 2>/dev/null < "/proc/$process/cmdline" \\
        | grep -Eq -e "$3"; then kill "$1" "$process" && found=1; fi
done
[ -n "$found" ]
"""

SCRIPTS: Mapping[str, str] = {
    "getprop": _GETPROP,
    "dumpsys": _DUMPSYS,
    "cmd": _CMD,
    "svc": _SVC,
    "settings": _SETTINGS,
    "input": _INPUT,
    "df": _DF,
    "pkill": _PKILL,
}
