#include "command_line.h"

#include <sys/utsname.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "overhead.h"
#include "serve.h"
#include "session.h"

using nlohmann::json;

namespace {

const char kHelp[] = R"( [--model FILE [--length N] [--threads N] [--cpus A,B] [--cold]
        [--seconds S] [--vocabulary N] [--bare-loop]] [--version] [--help]

Without --model: reads commands, one JSON object a line, from standard input and answers each on
standard output (the contract is in runtime_bench/runners/protocol.py).

With --model: loads that file, runs it on a seeded input, warms up, measures one block, and prints
the answer of every step.

  --length N       tokens in the input (128)
  --threads N      threads that compute (1)
  --cpus A,B       bind the process to these cores
  --cold           drop the file from the page cache before loading
  --seconds S      measure at least this long (1)
  --vocabulary N   draw token ids below N (1000)
  --bare-loop      measure what measuring costs: blocks against loops that read no clock between
                   the inferences, in turn, for S seconds
  --version        print the versions as one line of JSON
)";

struct Options {
  std::string model;
  int64_t length = 128;
  int threads = 1;
  std::vector<int> cpus;
  bool cold = false;
  double seconds = 1;
  int64_t vocabulary = 1000;
  bool bare_loop = false;
};

class UsageError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A positive number, whole unless T is double.
template <typename T>
T number(const std::string& option, const std::string& text) {
  std::istringstream stream(text);
  T value{};
  if (!(stream >> value) || !stream.eof() || value < 0) {
    throw UsageError(option + " takes a number, not " + (text.empty() ? "nothing" : text) + ".");
  }
  return value;
}

std::vector<int> cpu_list(const std::string& option, const std::string& text) {
  std::istringstream stream(text);
  std::vector<int> cpus;
  for (std::string word; std::getline(stream, word, ',');)
    cpus.push_back(number<int>(option, word));
  return cpus;
}

Options parsed(const std::vector<std::string>& words) {
  Options options;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& option = words[i];
    const auto value = [&]() -> const std::string& {
      if (i + 1 == words.size()) throw UsageError(option + " takes a value.");
      return words[++i];
    };
    if (option == "--model") {
      options.model = value();
    } else if (option == "--length") {
      options.length = number<int64_t>(option, value());
    } else if (option == "--threads") {
      options.threads = number<int>(option, value());
    } else if (option == "--cpus") {
      options.cpus = cpu_list(option, value());
    } else if (option == "--cold") {
      options.cold = true;
    } else if (option == "--seconds") {
      options.seconds = number<double>(option, value());
    } else if (option == "--vocabulary") {
      options.vocabulary = std::max<int64_t>(1, number<int64_t>(option, value()));
    } else if (option == "--bare-loop") {
      options.bare_loop = true;
    } else {
      throw UsageError("There is no option " + option + ".");
    }
  }
  if (options.model.empty()) throw UsageError("These options need --model FILE.");
  return options;
}

// Pseudo-random numbers that are the same everywhere (Knuth's MMIX constants, high bits).
class Numbers {
 public:
  int64_t below(int64_t bound) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<int64_t>((state_ >> 33) % static_cast<uint64_t>(bound));
  }

 private:
  uint64_t state_ = 0;
};

json golden_inputs(const Model& model, const Options& options) {
  Numbers numbers;
  json inputs = json::object();
  for (const InputSpec& spec : model.inputs()) {
    std::vector<int64_t> shape = spec.shape;
    // The first free size is the batch, every other one the tokens.
    for (size_t axis = 0; axis < shape.size(); ++axis) {
      if (shape[axis] < 0) shape[axis] = axis == 0 ? 1 : options.length;
    }
    json values = json::array();
    if (spec.name == "attention_mask") {
      values = {1};
    } else if (spec.name == "token_type_ids") {
      values = {0};
    } else if (spec.dtype == "float32") {
      for (int i = 0; i < 1000; ++i)
        values.push_back(static_cast<double>(numbers.below(2001)) / 1000 - 1);
    } else {
      for (int64_t i = 0; i < options.length; ++i)
        values.push_back(numbers.below(options.vocabulary));
    }
    inputs[spec.name] = {{"dtype", spec.dtype}, {"shape", shape}, {"values", values}};
  }
  return inputs;
}

void measure(const Runtime& runtime, const Options& options) {
  Session session(runtime);
  const auto step = [&](const json& command) {
    std::cout << session.answer(command).dump() << std::endl;
  };
  step({{"command", "load"},
        {"model", options.model},
        {"threads", options.threads},
        {"cpus", options.cpus},
        {"cold", options.cold}});
  step({{"command", "prepare"}, {"inputs", golden_inputs(*session.model(), options)}});
  step({{"command", "warm_up"}, {"limit_s", 10}});
  if (options.bare_loop) {
    std::cout << measure_overhead(session, options.seconds).dump() << std::endl;
  } else {
    step({{"command", "block"}, {"seconds", options.seconds}, {"minimum_iterations", 5}});
  }
}

}  // namespace

int run_command_line(Runtime runtime, int argc, char** argv) {
  utsname system{};
  uname(&system);
  runtime.versions["native"] = system.machine;
  const std::vector<std::string> words(argv + 1, argv + argc);
  const auto asked = [&](const char* option) {
    return std::find(words.begin(), words.end(), option) != words.end();
  };
  try {
    if (asked("--help")) {
      std::cout << "usage: " << runtime.name << kHelp;
    } else if (asked("--version")) {
      std::cout << json{{"runner", runtime.name}, {"versions", runtime.versions}}.dump() << "\n";
    } else if (words.empty()) {
      return serve(runtime);
    } else {
      measure(runtime, parsed(words));
    }
    return 0;
  } catch (const UsageError& error) {
    std::cerr << error.what() << " See: " << runtime.name << " --help\n";
    return 2;
  } catch (const Failure& failure) {
    std::cerr << failure.what() << (failure.next_step.empty() ? "" : " ") << failure.next_step
              << "\n";
    return 1;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
