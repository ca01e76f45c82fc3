// Runs ONNX models with ONNX Runtime's C API.
#include <onnxruntime_c_api.h>

#include <cstdlib>
#include <cstring>

#include "arrays.h"
#include "command_line.h"

namespace {

const OrtApi& api() {
  static const OrtApi* const found = OrtGetApiBase()->GetApi(ORT_API_VERSION);
  if (!found) {
    throw Failure(std::string("ONNX Runtime ") + OrtGetApiBase()->GetVersionString() +
                      " is older than the headers that this runner was built with.",
                  "Build again with a newer library.");
  }
  return *found;
}

void check(OrtStatus* status) {
  if (!status) return;
  const std::string message = api().GetErrorMessage(status);
  api().ReleaseStatus(status);
  throw Failure("ONNX Runtime: " + message);
}

template <typename T>
using Owned = std::unique_ptr<T, void (*)(T*)>;

template <typename T>
Owned<T> owned(T* object, void (*release)(T*)) {
  return Owned<T>(object, release);
}

struct Kind {
  const char* dtype;
  ONNXTensorElementDataType type;
};

constexpr Kind kInputKinds[] = {{"int64", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64},
                                {"int32", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32},
                                {"float32", ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT}};

std::vector<int64_t> shape_of(const OrtTensorTypeAndShapeInfo* info) {
  size_t rank = 0;
  check(api().GetDimensionsCount(info, &rank));
  std::vector<int64_t> shape(rank);
  check(api().GetDimensions(info, shape.data(), rank));
  return shape;
}

template <typename T>
std::vector<float> converted(const void* data, int64_t count) {
  const T* values = static_cast<const T*>(data);
  return {values, values + count};
}

std::vector<float> as_floats(const std::string& name, ONNXTensorElementDataType type,
                             const void* data, int64_t count) {
  switch (type) {
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT:
      return converted<float>(data, count);
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE:
      return converted<double>(data, count);
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64:
      return converted<int64_t>(data, count);
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32:
      return converted<int32_t>(data, count);
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16: {
      std::vector<float> values;
      for (int64_t i = 0; i < count; ++i) {
        values.push_back(half_to_float(static_cast<const uint16_t*>(data)[i]));
      }
      return values;
    }
    default:
      throw Failure("The output " + name + " is of a type that this runner does not read.",
                    "Known are float32, float16, float64, int64 and int32.");
  }
}

class OnnxModel : public Model {
 public:
  OnnxModel(const std::string& path, int threads)
      : environment_(nullptr, api().ReleaseEnv),
        session_(nullptr, api().ReleaseSession),
        memory_(nullptr, api().ReleaseMemoryInfo) {
    OrtEnv* environment = nullptr;
    // Else it starts a thread that reports its use, and leaves a database on the device.
    setenv("ORT_DISABLE_TELEMETRY", "1", 0);
    check(api().CreateEnv(ORT_LOGGING_LEVEL_ERROR, "onnx_runner", &environment));
    environment_.reset(environment);
    OrtSessionOptions* raw = nullptr;
    check(api().CreateSessionOptions(&raw));
    const auto options = owned(raw, api().ReleaseSessionOptions);
    // ONNX Runtime's defaults apart from the threads, as in runners/onnx_worker.py, which says why.
    check(api().SetIntraOpNumThreads(raw, threads));
    check(api().SetInterOpNumThreads(raw, 1));
    check(api().SetSessionExecutionMode(raw, ORT_SEQUENTIAL));
    check(api().SetSessionLogSeverityLevel(raw, ORT_LOGGING_LEVEL_ERROR));
    OrtSession* session = nullptr;
    check(api().CreateSession(environment, path.c_str(), raw, &session));
    session_.reset(session);
    OrtMemoryInfo* memory = nullptr;
    check(api().CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));
    memory_.reset(memory);
    read_interface();
  }

  ~OnnxModel() override { OnnxModel::discard_outputs(); }

  std::vector<InputSpec> inputs() const override { return specs_; }

  void set_inputs(std::vector<Tensor> tensors) override {
    std::vector<Owned<OrtValue>> values;
    std::vector<const char*> names;
    for (Tensor& tensor : tensors) {
      values.push_back(input_value(tensor));
      names.push_back(tensor.name.c_str());
    }
    // ONNX Runtime checks names, types and shapes itself, and says so in its own words.
    values_ = std::move(values);
    tensors_ = std::move(tensors);
    input_names_.clear();
    raw_inputs_.clear();
    for (size_t i = 0; i < tensors_.size(); ++i) {
      input_names_.push_back(tensors_[i].name.c_str());
      raw_inputs_.push_back(values_[i].get());
    }
  }

  void run() override {
    check(api().Run(session_.get(), nullptr, input_names_.data(), raw_inputs_.data(),
                    raw_inputs_.size(), raw_output_names_.data(), raw_outputs_.size(),
                    raw_outputs_.data()));
  }

  std::vector<Output> outputs() const override {
    std::vector<Output> found;
    for (size_t i = 0; i < raw_outputs_.size(); ++i) {
      OrtTensorTypeAndShapeInfo* raw = nullptr;
      check(api().GetTensorTypeAndShape(raw_outputs_[i], &raw));
      const auto info = owned(raw, api().ReleaseTensorTypeAndShapeInfo);
      ONNXTensorElementDataType type{};
      check(api().GetTensorElementType(raw, &type));
      void* data = nullptr;
      check(api().GetTensorMutableData(raw_outputs_[i], &data));
      Output output{output_names_[i], shape_of(raw), {}};
      output.values = as_floats(output.name, type, data, element_count(output.shape));
      found.push_back(std::move(output));
    }
    return found;
  }

  void discard_outputs() override {
    for (OrtValue*& value : raw_outputs_) {
      if (value) api().ReleaseValue(value);
      value = nullptr;
    }
  }

 private:
  void read_interface() {
    OrtAllocator* allocator = nullptr;
    check(api().GetAllocatorWithDefaultOptions(&allocator));
    const auto text = [&](char* raw) {
      std::string copy = raw;
      check(api().AllocatorFree(allocator, raw));
      return copy;
    };
    size_t count = 0;
    check(api().SessionGetInputCount(session_.get(), &count));
    for (size_t i = 0; i < count; ++i) {
      char* name = nullptr;
      check(api().SessionGetInputName(session_.get(), i, allocator, &name));
      OrtTypeInfo* raw = nullptr;
      InputSpec spec{text(name), "", {}};
      check(api().SessionGetInputTypeInfo(session_.get(), i, &raw));
      const auto info = owned(raw, api().ReleaseTypeInfo);
      const OrtTensorTypeAndShapeInfo* tensor = nullptr;
      check(api().CastTypeInfoToTensorInfo(raw, &tensor));
      if (tensor) {
        ONNXTensorElementDataType type{};
        check(api().GetTensorElementType(tensor, &type));
        for (const Kind& kind : kInputKinds) {
          if (kind.type == type) spec.dtype = kind.dtype;
        }
        spec.shape = shape_of(tensor);
      }
      specs_.push_back(std::move(spec));
    }
    check(api().SessionGetOutputCount(session_.get(), &count));
    for (size_t i = 0; i < count; ++i) {
      char* name = nullptr;
      check(api().SessionGetOutputName(session_.get(), i, allocator, &name));
      output_names_.push_back(text(name));
    }
    for (const std::string& name : output_names_) raw_output_names_.push_back(name.c_str());
    raw_outputs_.assign(count, nullptr);
  }

  Owned<OrtValue> input_value(Tensor& tensor) const {
    for (const Kind& kind : kInputKinds) {
      if (tensor.dtype != kind.dtype) continue;
      OrtValue* value = nullptr;
      check(api().CreateTensorWithDataAsOrtValue(memory_.get(), tensor.bytes.data(),
                                                 tensor.bytes.size(), tensor.shape.data(),
                                                 tensor.shape.size(), kind.type, &value));
      return owned(value, api().ReleaseValue);
    }
    throw Failure("The input " + tensor.name + " is " + tensor.dtype + ".",
                  "Known are int64, int32 and float32.");
  }

  Owned<OrtEnv> environment_;
  Owned<OrtSession> session_;
  Owned<OrtMemoryInfo> memory_;
  std::vector<InputSpec> specs_;
  std::vector<std::string> output_names_;
  std::vector<const char*> raw_output_names_;
  std::vector<Tensor> tensors_;
  std::vector<Owned<OrtValue>> values_;
  std::vector<const char*> input_names_;
  std::vector<const OrtValue*> raw_inputs_;
  std::vector<OrtValue*> raw_outputs_;
};

}  // namespace

int main(int argc, char** argv) {
  Runtime runtime{"onnx_runner", {{"onnxruntime", OrtGetApiBase()->GetVersionString()}}, {}};
  runtime.open = [](const std::string& path, int threads) -> std::unique_ptr<Model> {
    return std::make_unique<OnnxModel>(path, threads);
  };
  return run_command_line(runtime, argc, argv);
}
