#include "serve.h"

#include <stdio.h>
#include <unistd.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "session.h"

using nlohmann::json;

namespace {

// Text from a runtime may be no UTF-8, which JSON has to be.
constexpr auto kReplace = json::error_handler_t::replace;

bool send(FILE* answers, const json& message) {
  const std::string line = message.dump(-1, ' ', false, kReplace) + "\n";
  return fwrite(line.data(), 1, line.size(), answers) == line.size() && fflush(answers) == 0;
}

json answered(Session& session, const json& command) {
  try {
    return session.answer(command);
  } catch (const Failure& failure) {
    json error = {{"event", "error"}, {"message", failure.what()}};
    if (!failure.next_step.empty()) error["next_step"] = failure.next_step;
    return error;
  } catch (const json::exception& wrong) {
    return {{"event", "error"}, {"message", std::string("The command is wrong: ") + wrong.what()}};
  } catch (const std::exception& other) {
    // Whatever the runtime throws is the answer: the schedule records it and goes on.
    return {{"event", "error"}, {"message", other.what()}};
  }
}

}  // namespace

int serve(const Runtime& runtime) {
  // Standard output is kept for answers: what a library prints there goes to standard error.
  FILE* answers = fdopen(dup(STDOUT_FILENO), "w");
  if (!answers || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) return 1;
  if (!send(answers, {{"event", "ready"}, {"versions", runtime.versions}})) return 1;
  Session session(runtime);
  std::string line;
  while (std::getline(std::cin, line)) {
    json command = json::parse(line, nullptr, false);
    // What is no JSON is handed on as text, which the session refuses.
    if (command.is_discarded()) command = line;
    if (command.is_object() && command.value("command", json()) == "quit") return 0;
    if (!send(answers, answered(session, command))) return 1;
  }
  return 0;
}
