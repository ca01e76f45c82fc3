// Runs ExecuTorch programs (.pte).
#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "arrays.h"
#include "command_line.h"
#include "executorch_log.h"
#include "executorch_threadpool.h"

using executorch::aten::ScalarType;
using executorch::extension::make_tensor_ptr;
using executorch::extension::Module;
using executorch::extension::TensorPtr;
using executorch::runtime::Error;
using executorch::runtime::EValue;
using executorch::runtime::Program;

namespace {

const char kMethod[] = "forward";
const char kPooledTask[] = "sequence-classification";

std::string file_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

// What a program says about itself in its constant methods; as in runners/executorch_program.py.
struct Interface {
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  int64_t bound = 0;             // the largest number of tokens
  std::vector<int64_t> buckets;  // the lengths of its methods, ascending; empty: one method for all
  bool by_token = false;         // the outputs' second axis is the tokens

  // The length that it computes `length` tokens with. Throws Failure.
  int64_t padded(int64_t length) const {
    const int64_t most = buckets.empty() ? bound : std::min(bound, buckets.back());
    if (length < 1 || length > most) {
      const std::string range = "1 to " + std::to_string(most);
      throw Failure(std::to_string(length) + " tokens are " + (length ? "too many" : "too few") +
                        ": the program takes " + range + ".",
                    "Give a length from " + range + ".");
    }
    if (buckets.empty()) return length;
    return *std::lower_bound(buckets.begin(), buckets.end(), length);
  }

  std::string method(int64_t padded) const {
    return buckets.empty() ? kMethod : std::string(kMethod) + "_" + std::to_string(padded);
  }
};

class ProgramModel : public Model {
 public:
  ProgramModel(const std::string& path, int threads) : path_(path), file_(file_name(path)) {
    forget_executorch_log();
    // The pool belongs to the process, and the kernels are packed for it: before anything else.
    auto* pool = executorch::extension::threadpool::get_threadpool();
    if (!pool || !pool->_unsafe_reset_threadpool(static_cast<uint32_t>(threads)) ||
        pool->get_thread_count() != static_cast<size_t>(threads)) {
      throw Failure("ExecuTorch did not start " + std::to_string(threads) + " threads.");
    }
    module_ = std::make_unique<Module>(path, Module::LoadMode::MmapUseMlockIgnoreErrors);
    check(module_->load(Program::Verification::InternalConsistency));
    read_interface();
    // Of buckets only the smallest, the others as they are first used, as an app would do.
    load_method(interface_.method(interface_.padded(1)));
  }

  std::vector<InputSpec> inputs() const override {
    std::vector<InputSpec> specs;
    for (const std::string& name : interface_.inputs) specs.push_back({name, "int64", {1, -1}});
    return specs;
  }

  void set_inputs(std::vector<Tensor> tensors) override {
    const int64_t length = common_length(tensors);
    const int64_t padded = interface_.padded(length);
    std::vector<std::vector<int64_t>> data;
    for (const std::string& name : interface_.inputs) {
      const Tensor& tensor = named(tensors, name);
      std::vector<int64_t> values(static_cast<size_t>(padded));  // padding is 0
      std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
      data.push_back(std::move(values));
    }
    const std::string method = interface_.method(padded);
    load_method(method);
    length_ = length;
    padded_ = padded;
    method_ = method;
    data_ = std::move(data);
    tensors_.clear();
    values_.clear();
    for (std::vector<int64_t>& values : data_) {
      const std::vector<executorch::aten::SizesType> sizes = {
          1, static_cast<executorch::aten::SizesType>(padded)};
      tensors_.push_back(make_tensor_ptr(sizes, values.data(), ScalarType::Long));
      values_.emplace_back(tensors_.back());
    }
    forget_executorch_log();
  }

  void run() override {
    auto result = module_->execute(method_, values_);
    if (!result.ok()) check(result.error());
    results_ = std::move(result.get());
  }

  std::vector<Output> outputs() const override {
    if (results_.size() != interface_.outputs.size()) {
      throw Failure(file_ + " gives " + std::to_string(results_.size()) + " outputs and names " +
                    std::to_string(interface_.outputs.size()) + ".");
    }
    std::vector<Output> found;
    for (size_t i = 0; i < results_.size(); ++i) found.push_back(output(i));
    return found;
  }

 private:
  void check(Error error) const {
    if (error == Error::Ok) return;
    std::ostringstream what;
    what << "error 0x" << std::hex << static_cast<uint32_t>(error);
    Failure failure = explained(path_, what.str());
    forget_executorch_log();
    throw failure;
  }

  void load_method(const std::string& name) { check(module_->load_method(name)); }

  EValue constant(const std::string& name, const std::vector<std::string>& methods) {
    if (std::find(methods.begin(), methods.end(), name) == methods.end()) {
      throw Failure(file_ + " does not say what it takes: it has no constant method " + name + ".",
                    "Build it with: squeezebert-export build MODEL BUNDLE --target executorch");
    }
    auto result = module_->execute(name);
    if (!result.ok()) check(result.error());
    return result->at(0);
  }

  void read_interface() {
    auto result = module_->method_names();
    if (!result.ok()) check(result.error());
    const std::vector<std::string> methods(result->begin(), result->end());
    const auto list = [&](const std::string& name) {
      return nlohmann::json::parse(constant(name, methods).toString());
    };
    interface_.inputs = list("input_names").get<std::vector<std::string>>();
    interface_.outputs = list("output_names").get<std::vector<std::string>>();
    interface_.bound = constant("max_positions", methods).toInt();
    if (std::find(methods.begin(), methods.end(), kMethod) != methods.end()) return;
    interface_.buckets = list("buckets").get<std::vector<int64_t>>();
    std::sort(interface_.buckets.begin(), interface_.buckets.end());
    interface_.by_token = constant("task", methods).toString() != kPooledTask;
  }

  const Tensor& named(const std::vector<Tensor>& tensors, const std::string& name) const {
    for (const Tensor& tensor : tensors) {
      if (tensor.name == name) return tensor;
    }
    throw Failure(file_ + " takes " + joined(interface_.inputs) + "; " + name + " is not given.",
                  "Give every input by its name.");
  }

  int64_t common_length(const std::vector<Tensor>& tensors) const {
    const std::vector<int64_t>& shape = named(tensors, interface_.inputs.at(0)).shape;
    bool fits = shape.size() == 2 && shape[0] == 1;
    std::vector<std::string> given;
    for (const std::string& name : interface_.inputs) {
      const Tensor& tensor = named(tensors, name);
      fits = fits && tensor.shape == shape;
      given.push_back(name + " " + nlohmann::json(tensor.shape).dump());
    }
    if (!fits) {
      throw Failure(file_ + " takes one text at a time, every input of the shape [1, T]; it was " +
                        "given " + joined(given) + ".",
                    "Run a batch text by text.");
    }
    for (const std::string& name : interface_.inputs) {
      const std::string& dtype = named(tensors, name).dtype;
      if (dtype != "int64") {
        throw Failure(name + " is " + dtype + "; " + file_ + " takes int64.", "Give it as int64.");
      }
    }
    return shape[1];
  }

  Output output(size_t index) const {
    const auto& tensor = results_[index].toTensor();
    Output found{interface_.outputs[index], {}, {}};
    found.shape.assign(tensor.sizes().begin(), tensor.sizes().end());
    const int64_t count = tensor.numel();
    if (tensor.scalar_type() == ScalarType::Float) {
      const float* data = tensor.const_data_ptr<float>();
      found.values.assign(data, data + count);
    } else if (tensor.scalar_type() == ScalarType::Half) {
      const auto* data = static_cast<const uint16_t*>(tensor.const_data_ptr());
      for (int64_t i = 0; i < count; ++i) found.values.push_back(half_to_float(data[i]));
    } else {
      throw Failure("The output " + found.name + " is of a type that this runner does not read.",
                    "Known are float32 and float16.");
    }
    if (interface_.by_token && padded_ != length_) cut_padding(found);
    return found;
  }

  // Keeps the first tokens of an output [1, T, ...].
  void cut_padding(Output& output) const {
    const int64_t inner = element_count({output.shape.begin() + 2, output.shape.end()});
    output.values.resize(static_cast<size_t>(length_ * inner));
    output.shape[1] = length_;
  }

  const std::string path_;
  const std::string file_;
  std::unique_ptr<Module> module_;
  Interface interface_;
  int64_t length_ = 0;
  int64_t padded_ = 0;
  std::string method_;
  std::vector<std::vector<int64_t>> data_;
  std::vector<TensorPtr> tensors_;
  std::vector<EValue> values_;
  std::vector<EValue> results_;
};

}  // namespace

int main(int argc, char** argv) {
  keep_executorch_log();
  Runtime runtime{"executorch_runner", {{"executorch", EXECUTORCH_VERSION}}, {}};
  runtime.open = [](const std::string& path, int threads) -> std::unique_ptr<Model> {
    return std::make_unique<ProgramModel>(path, threads);
  };
  return run_command_line(runtime, argc, argv);
}
