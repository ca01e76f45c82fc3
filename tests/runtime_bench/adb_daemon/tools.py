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

_PM = """
if [ "$1 $2" = "path org.squeezebert.app" ] && [ -e "$STATE/app/about" ]; then
    echo "package:/data/app/~~Zm9v==/org.squeezebert.app-YmFy==/base.apk"; exit 0
fi
exit 1
"""

# The app's provider; with a name at the end of the address the app makes that run's folder.
_CONTENT = """
if [ ! -e "$STATE/app/about" ] || [ -e "$STATE/app/old" ]; then
    echo "Error while accessing provider:org.squeezebert.app.benchmark" >&2
    echo "java.lang.IllegalStateException: Could not find provider" >&2; exit 0
fi
run=${3#content://org.squeezebert.app.benchmark}
if [ -n "$run" ] && [ -e "$STATE/app/no-folder" ]; then
    echo "Row: 0 about=$(cat "$STATE/app/no-folder")"; exit 0
fi
mkdir -p "$ROOT/sdcard/Android/data/org.squeezebert.app/files/benchmark$run"
for left in "$ROOT"/data/own/*; do
    if [ -n "$run" ] && [ "$left" != "$ROOT/data/own$run" ]; then rm -rf "$left"; fi
done
echo "Row: 0 about=$(cat "$STATE/app/about")"
"""

# state/app/launch is what starts the app on this host.
_AM = """
case "$1" in
    force-stop) pkill -9 -f " bench-[0-9a-f]{12} $2 \\$"; exit 0 ;;
esac
echo "Starting: Intent { cmp=$4 (has extras) }"
if [ -e "$STATE/app/denied" ]; then
    echo "java.lang.SecurityException: Permission Denial: starting Intent { cmp=$4 }" >&2; exit 255
fi
if [ -e "$STATE/app/no-entry" ]; then
    echo "Error type 3"; echo "Error: Activity class {$4} does not exist."; exit 1
fi
if [ ! -e "$STATE/app/never-starts" ]; then
    setsid sh -c "exec $(cat "$STATE/app/launch") $7 org.squeezebert.app" \
        < /dev/null > "$STATE/app/log" 2>&1 &
fi
echo "Status: ok"
"""

_PIDOF = """
for place in $(grep -lzxF "STATE=$STATE" /proc/[0-9]*/environ 2>/dev/null); do
    process=${place#/proc/}; process=${process%/environ}
    if tr '\\0' ' ' 2>/dev/null < "/proc/$process/cmdline" \\
        | grep -q -e " bench-[0-9a-f]* $1 $"; then
        echo "$process"; exit 0
    fi
done
exit 1
"""

_WM = """
if [ "$1" = dismiss-keyguard ] && [ ! -e "$STATE/secret" ]; then rm -f "$STATE/locked"; fi
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
    "pm": _PM,
    "content": _CONTENT,
    "am": _AM,
    "pidof": _PIDOF,
    "wm": _WM,
}
