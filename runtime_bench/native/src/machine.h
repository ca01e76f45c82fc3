// What the system tells of this process and of the machine.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

int64_t rss_bytes();
// The largest resident memory this process ever had.
int64_t peak_rss_bytes();
// Resident memory with shared pages divided among their users; none where the system hides it.
std::optional<int64_t> pss_bytes();

// The cores that at least one thread of this process may run on.
std::vector<int> allowed_cpus();
// Binds every thread of this process, and those it starts later. Throws Failure.
void bind_to_cpus(const std::vector<int>& cpus);

// Drops `path`, and the files beside it whose names it begins, from the system's page cache.
// Returns the bytes that stayed in it all the same (another process uses them, or the file system
// lives in memory). Throws Failure where the file cannot be opened.
int64_t drop_from_page_cache(const std::string& path);

// {"khz": {CPU: N}, "celsius": {SENSOR: N}}: what can be read; empty where nothing can.
nlohmann::json clocks_and_temperatures();

// The number that a file holds; none where it cannot be read.
std::optional<int64_t> number_in(const std::string& path);
