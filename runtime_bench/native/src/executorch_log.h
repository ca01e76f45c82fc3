// What ExecuTorch says when something fails: its log, turned into a cause and a next step.
//
// Its errors carry a number only; the cause is in the lines that it logs.
#pragma once

#include <functional>
#include <string>

#include "model.h"

// Keeps the lines that ExecuTorch logs from now on, instead of printing them.
void keep_executorch_log();

void forget_executorch_log();

// The failure for the user, by the lines kept since they were last forgotten. `what` is said where
// no rule knows the cause.
Failure explained(const std::string& path, const std::string& what);
