#include "machine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

#include "model.h"

namespace {

const char kCpuFolder[] = "/sys/devices/system/cpu";
const char kThermalFolder[] = "/sys/class/thermal";

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  if (DIR* stream = opendir(folder.c_str())) {
    while (const dirent* entry = readdir(stream)) names.emplace_back(entry->d_name);
    closedir(stream);
  }
  std::sort(names.begin(), names.end());
  return names;
}

// The number behind `prefix` in `name` ("cpu12" -> 12), or -1.
int numbered(const std::string& name, const std::string& prefix) {
  const std::string digits =
      name.compare(0, prefix.size(), prefix) ? "" : name.substr(prefix.size());
  const bool all = !digits.empty() && digits.size() < 8 &&
                   digits.find_first_not_of("0123456789") == std::string::npos;
  return all ? std::stoi(digits) : -1;
}

// The kilobytes behind `key` in a file such as /proc/self/status, in bytes.
std::optional<int64_t> kilobytes_in(const char* path, const std::string& key) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    if (line.compare(0, key.size(), key) == 0) return std::stoll(line.substr(key.size())) * 1024;
  }
  return std::nullopt;
}

std::vector<pid_t> threads() {
  std::vector<pid_t> found;
  for (const std::string& name : names_in("/proc/self/task")) {
    if (const int id = numbered(name, ""); id >= 0) found.push_back(id);
  }
  if (found.empty()) found.push_back(0);
  return found;
}

std::string listed(const std::vector<int>& numbers) {
  std::ostringstream text;
  for (size_t i = 0; i < numbers.size(); ++i) text << (i ? ", " : "") << numbers[i];
  return text.str();
}

// Drops one file; the bytes of it that are in memory afterwards.
int64_t drop_file(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    throw Failure(path + " cannot be opened: " + strerror(errno) + ".", "Check the path.");
  }
  struct stat status{};
  fstat(file, &status);
  // A page that is still to be written cannot be dropped.
  fdatasync(file);
  posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  int64_t resident = 0;
  const size_t size = static_cast<size_t>(status.st_size);
  void* mapping = size ? mmap(nullptr, size, PROT_READ, MAP_SHARED, file, 0) : MAP_FAILED;
  if (mapping != MAP_FAILED) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    std::vector<unsigned char> pages((size + page - 1) / page);
    if (mincore(mapping, size, pages.data()) == 0) {
      for (unsigned char flags : pages) resident += (flags & 1) ? static_cast<int64_t>(page) : 0;
    }
    munmap(mapping, size);
  }
  close(file);
  return resident;
}

}  // namespace

int64_t rss_bytes() { return kilobytes_in("/proc/self/status", "VmRSS:").value_or(0); }

int64_t peak_rss_bytes() {
  return kilobytes_in("/proc/self/status", "VmHWM:").value_or(rss_bytes());
}

std::optional<int64_t> pss_bytes() { return kilobytes_in("/proc/self/smaps_rollup", "Pss:"); }

std::vector<int> allowed_cpus() {
  std::set<int> found;
  for (pid_t thread : threads()) {
    cpu_set_t mask;
    CPU_ZERO(&mask);
    if (sched_getaffinity(thread, sizeof(mask), &mask) != 0) continue;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &mask)) found.insert(cpu);
    }
  }
  return {found.begin(), found.end()};
}

void bind_to_cpus(const std::vector<int>& cpus) {
  const std::vector<int> before = allowed_cpus();
  cpu_set_t mask;
  CPU_ZERO(&mask);
  for (int cpu : cpus) {
    if (cpu < 0 || cpu >= CPU_SETSIZE) {
      throw Failure("There is no CPU " + std::to_string(cpu) + ".",
                    "Choose among " + listed(before) + ".");
    }
    CPU_SET(cpu, &mask);
  }
  for (pid_t thread : threads()) {
    if (sched_setaffinity(thread, sizeof(mask), &mask) != 0 && errno != ESRCH) {
      throw Failure("The system does not let this process run on CPU " + listed(cpus) + ": " +
                        strerror(errno) + ".",
                    "Choose among " + listed(before) + ".");
    }
  }
}

int64_t drop_from_page_cache(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const std::string model = slash == std::string::npos ? path : path.substr(slash + 1);
  int64_t resident = drop_file(path);
  for (const std::string& name : names_in(folder)) {
    // Weights of an ONNX model can lie beside it: model.onnx.data, model.onnx_data.
    const std::string beside = folder + "/" + name;
    struct stat status{};
    if (name != model && name.compare(0, model.size(), model) == 0 &&
        stat(beside.c_str(), &status) == 0 && S_ISREG(status.st_mode)) {
      resident += drop_file(beside);
    }
  }
  return resident;
}

nlohmann::json clocks_and_temperatures() {
  nlohmann::json khz = nlohmann::json::object();
  nlohmann::json celsius = nlohmann::json::object();
  for (const std::string& name : names_in(kCpuFolder)) {
    const int cpu = numbered(name, "cpu");
    if (cpu < 0) continue;
    const auto clock =
        number_in(std::string(kCpuFolder) + "/" + name + "/cpufreq/scaling_cur_freq");
    if (clock) khz[std::to_string(cpu)] = *clock;
  }
  for (const std::string& name : names_in(kThermalFolder)) {
    const int zone = numbered(name, "thermal_zone");
    const std::string place = std::string(kThermalFolder) + "/" + name;
    std::string kind;
    std::ifstream(place + "/type") >> kind;
    const auto thousandths = number_in(place + "/temp");
    if (zone < 0 || kind.empty() || !thousandths) continue;
    // The zone's number keeps sensors of one kind apart.
    celsius[kind + "-" + std::to_string(zone)] = static_cast<double>(*thousandths) / 1000;
  }
  return {{"khz", khz}, {"celsius", celsius}};
}

std::optional<int64_t> number_in(const std::string& path) {
  std::ifstream file(path);
  int64_t number = 0;
  if (file >> number) return number;
  return std::nullopt;
}
