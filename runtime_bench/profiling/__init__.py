"""Where the time of one inference goes: operators by kind, comparable across runtimes."""
