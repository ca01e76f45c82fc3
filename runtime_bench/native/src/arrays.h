// Arrays as commands and answers carry them (runners/protocol.py).
#pragma once

#include <nlohmann/json.hpp>

#include "model.h"

// {NAME: {"dtype", "shape", "values"}} -> inputs; the values are repeated until they fill the
// shape. Throws Failure for what is no array.
std::vector<Tensor> input_tensors(const nlohmann::json& specs);

// {NAME: {"shape", "finite", "sha256", "values"}}.
nlohmann::json describe_outputs(const std::vector<Output>& outputs);

// IEEE 754 binary16 -> binary32.
float half_to_float(uint16_t half);
