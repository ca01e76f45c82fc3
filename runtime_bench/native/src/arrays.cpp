#include "arrays.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "sha256.h"

using nlohmann::json;

namespace {

constexpr size_t kOutputValues = 1024;        // OUTPUT_VALUES of runners/protocol.py
constexpr int64_t kMostElements = 1LL << 31;  // a shape beyond this is a mistake, not an input

template <typename T>
void append(std::vector<char>& bytes, T value) {
  const auto* start = reinterpret_cast<const char*>(&value);
  bytes.insert(bytes.end(), start, start + sizeof(T));
}

void append_value(Tensor& tensor, const json& value) {
  if (tensor.dtype == "int64") return append(tensor.bytes, value.get<int64_t>());
  if (tensor.dtype == "int32") return append(tensor.bytes, value.get<int32_t>());
  if (tensor.dtype == "float32") return append(tensor.bytes, value.get<float>());
  throw Failure("The input " + tensor.name + " is " + tensor.dtype + ".",
                "Known are int64, int32 and float32.");
}

}  // namespace

std::vector<Tensor> input_tensors(const json& specs) {
  std::vector<Tensor> tensors;
  for (const auto& [name, spec] : specs.items()) {
    Tensor tensor{name,
                  spec.at("dtype").get<std::string>(),
                  spec.at("shape").get<std::vector<int64_t>>(),
                  {}};
    const json& values = spec.at("values");
    int64_t count = 1;
    for (int64_t size : tensor.shape) {
      if (size < 0) throw Failure("A size in the shape of " + name + " is negative.");
      count *= size;
      if (count > kMostElements) throw Failure("The input " + name + " is too large.");
    }
    if (!values.is_array() || (values.empty() && count > 0)) {
      throw Failure("The input " + name + " has no values.");
    }
    for (int64_t i = 0; i < count; ++i) append_value(tensor, values[i % values.size()]);
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

json describe_outputs(const std::vector<Output>& outputs) {
  json described = json::object();
  for (const Output& output : outputs) {
    bool finite = true;
    for (float value : output.values) finite = finite && std::isfinite(value);
    json values = json::array();
    const size_t step = std::max<size_t>(1, (output.values.size() + kOutputValues - 1) / kOutputValues);
    for (size_t i = 0; finite && i < output.values.size(); i += step) {
      values.push_back(static_cast<double>(output.values[i]));
    }
    described[output.name] = {
        {"shape", output.shape},
        {"finite", finite},
        {"sha256", sha256(output.values.data(), output.values.size() * sizeof(float))},
        {"values", values}};
  }
  return described;
}

float half_to_float(uint16_t half) {
  const int exponent = (half >> 10) & 31;
  const int fraction = half & 1023;
  float size = 0;
  if (exponent == 31) {
    size = fraction ? NAN : INFINITY;
  } else if (exponent == 0) {
    size = std::ldexp(static_cast<float>(fraction), -24);
  } else {
    size = std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
  }
  return half & 0x8000 ? -size : size;
}
