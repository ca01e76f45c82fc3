// Serves the contract of runners/protocol.py on standard input and output.
#pragma once

#include "model.h"

// Answers commands until "quit" or the end of the input; the exit code.
int serve(const Runtime& runtime);
