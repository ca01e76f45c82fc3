// The command line of a runner: serves commands, or measures one model for a human.
#pragma once

#include "model.h"

// The exit code: 0 done, 1 the model or the device said no, 2 the command line cannot be used.
int run_command_line(Runtime runtime, int argc, char** argv);
