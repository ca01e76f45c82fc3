// What a runtime offers to the runner: one model, opened once, run many times.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

// Why a command failed, and what the user can do about it (empty where nothing is known).
class Failure : public std::runtime_error {
 public:
  explicit Failure(const std::string& message, std::string next = "")
      : std::runtime_error(message), next_step(std::move(next)) {}
  const std::string next_step;
};

// An input with its values, row-major; `dtype` is numpy's name ("int64", "int32", "float32").
struct Tensor {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  std::vector<char> bytes;
};

// What a model says of an input; -1 in `shape` stands for any size.
struct InputSpec {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
};

// An output as float32, whatever the model computed in.
struct Output {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> values;
};

class Model {
 public:
  virtual ~Model() = default;
  virtual std::vector<InputSpec> inputs() const = 0;
  // Checks, pads and keeps the inputs of every run() that follows. Throws Failure.
  virtual void set_inputs(std::vector<Tensor> tensors) = 0;
  // One inference: all that the timed region holds. Throws Failure.
  virtual void run() = 0;
  // The outputs of the last run().
  virtual std::vector<Output> outputs() const = 0;
  // Gives back what the last run() allocated, outside the timed region.
  virtual void discard_outputs() {}
};

struct Runtime {
  std::string name;
  std::map<std::string, std::string> versions;
  // Opens a model file with a number of threads. Throws Failure.
  std::function<std::unique_ptr<Model>(const std::string& path, int threads)> open;
};

inline int64_t element_count(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (int64_t size : shape) count *= size;
  return count;
}
