#include "executorch_log.h"

#include <executorch/runtime/platform/platform.h>

#include <mutex>
#include <regex>
#include <vector>

namespace {

const char kRebuild[] = "Build it again: squeezebert-export build MODEL BUNDLE --force";
const char kNative[] = "Build the runners of this version: make native";

struct Cause {
  const char* pattern;
  const char* message;  // {file} is the file's name, {1} and {2} what the pattern caught
  std::string next_step;
};

// As in runners/executorch_log.py; the first rule with a line that fits is taken.
const std::vector<Cause>& causes() {
  static const std::vector<Cause> found = {
      {R"(Failed to open \S+: (.+?)( \(\d+\))?$)", "{file} cannot be opened: {1}.", kRebuild},
      {R"(Program identifier '(ET..)' != expected '(ET..)')",
       "{file} is of another version of ExecuTorch: its format is {1}, this one reads {2}.",
       kRebuild},
      {R"(Program identifier ')", "{file} is not an ExecuTorch program.", kRebuild},
      {R"(File size is too small|> file_size_ \d+)", "{file} is cut off: its end is missing.",
       kRebuild},
      {R"(Verification failed)", "{file} is damaged.", kRebuild},
      {R"(Backend (\S+) is not registered)",
       "{file} needs the backend {1}, which this runner does not have.",
       "Build it for XNNPACK, which it has."},
      {R"(Missing operator: \[\d+\] (\S+))",
       "{file} needs the operator {1}, which no kernel library of this runner has.", kNative},
      {R"(XNNPACK Delegate Serialization Format version identifier '(\S+)')",
       "{file} is of another version of the XNNPACK backend ({1}).", kRebuild},
      {R"(indices_ptr\[\d+\] (-?\d+) (?:>= weight.size\(0\) (\d+)|< 0))",
       "The index {1} is outside an embedding table of {file}.",
       "Give token ids of its own vocabulary."},
  };
  return found;
}

constexpr size_t kMostLines = 1000;
std::mutex guard;
std::vector<std::string> lines;

void keep(et_timestamp_t, et_pal_log_level_t, const char* file, const char*, size_t,
          const char* message, size_t length) {
  const std::string place = file ? file : "";
  // What it tells of the machine whether or not anything fails.
  if (place.find("cpuinfo_utils") != std::string::npos ||
      place.find("threadpool") != std::string::npos)
    return;
  const std::lock_guard<std::mutex> lock(guard);
  // The cause comes first; what repeats in every inference must not fill the memory.
  if (lines.size() < kMostLines) lines.emplace_back(message, length);
}

std::string replaced(std::string text, const std::string& key, const std::string& value) {
  for (size_t at = text.find(key); at != std::string::npos;
       at = text.find(key, at + value.size())) {
    text.replace(at, key.size(), value);
  }
  return text;
}

}  // namespace

void keep_executorch_log() {
  executorch::runtime::register_pal(executorch::runtime::PalImpl::create(keep, __FILE__));
}

void forget_executorch_log() {
  const std::lock_guard<std::mutex> lock(guard);
  lines.clear();
}

Failure explained(const std::string& path, const std::string& what) {
  const std::string file = path.substr(path.rfind('/') + 1);
  const std::lock_guard<std::mutex> lock(guard);
  for (const Cause& cause : causes()) {
    const std::regex pattern(cause.pattern);
    for (const std::string& line : lines) {
      std::smatch caught;
      if (!std::regex_search(line, caught, pattern)) continue;
      std::string message = replaced(cause.message, "{file}", file);
      for (size_t i = 1; i < caught.size(); ++i) {
        message = replaced(message, "{" + std::to_string(i) + "}", caught[i]);
      }
      return Failure(message, cause.next_step);
    }
  }
  const std::string words = lines.empty() ? "its log says nothing" : lines.front();
  return Failure("ExecuTorch failed on " + file + ": " + what + " (" + words + ").",
                 std::string("If other files run, that one is at fault. ") + kRebuild);
}
