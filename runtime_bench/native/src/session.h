// The model that this process holds, and the commands on it (the contract: runners/protocol.py).
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "model.h"

class Session {
 public:
  explicit Session(const Runtime& runtime);
  // Answers one command. Throws Failure, or what the JSON library throws for a wrong field.
  nlohmann::json answer(const nlohmann::json& command);
  // Null before a model is loaded.
  const Model* model() const { return model_.get(); }

  struct Times {
    std::vector<int64_t> wall_ns;
    std::vector<int64_t> cpu_ns;
  };
  // The loop of a block, without its lead-in, and the same inferences with nothing between them
  // (nanoseconds in all): for measuring what measuring costs.
  Times timed_loop(int iterations);
  int64_t bare_loop(int iterations);

 private:
  nlohmann::json load(const nlohmann::json& command);
  nlohmann::json prepare(const nlohmann::json& command);
  nlohmann::json warm_up(const nlohmann::json& command);
  nlohmann::json block(const nlohmann::json& command);
  nlohmann::json count(const nlohmann::json& command);
  Model& ready();
  int64_t timed_run(Times& times);

  const Runtime runtime_;
  const std::vector<int> all_cpus_;
  std::unique_ptr<Model> model_;
  bool prepared_ = false;
};

// The warm-up rule: the last two windows' medians differ by at most a twentieth.
bool is_steady(const std::vector<int64_t>& wall_ns);
