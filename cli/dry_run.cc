// Before something is sent to a server that matters, its owner wants to know what. A dry run does
// everything that a run does up to the first connection, and says what would follow:
//
//   options -> resolve -> look through the tape -> guard -> [text on stdout | --json]
//
// The order is that of a worried reader: where to, may it, how much, how long, what of it writes,
// what not at all, what is changed on the way.
#include "cli/dry_run.h"

#include <fmt/format.h>

#include "cli/text.h"
#include "proto/json.h"

namespace wiretape {
namespace {

constexpr size_t example_columns_max = 60;

// "GET 12, POST 1"
std::string counts_text(const std::map<std::string, uint64_t>& counts) {
  std::string text;
  for (const auto& [name, count] : counts) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, grouped(count));
  }
  return text;
}

std::string target_text(const DryRun& dry) {
  std::string text = dry.target;
  std::string addresses;
  for (const Address& address : dry.addresses) {
    const std::string one = address.text();
    if (one != dry.target) addresses += (addresses.empty() ? "" : ", ") + one;
  }
  return addresses.empty() ? text : fmt::format("{} ({})", text, addresses);
}

std::string duration_text(const DryRun& dry) {
  if (dry.pace == Pace::think) return "for as long as the target takes to answer";
  if (!dry.duration_ns) return "as fast as order allows";
  return fmt::format("in {} s at speed {}", seconds_text(*dry.duration_ns), dry.speed);
}

std::string writes_text(const Plan& plan) {
  if (plan.writes() == 0) return "writes: none\n";
  std::string text = "writes: ";
  const uint64_t requests = plan.requests_writing();
  if (requests > 0) text += counted(requests, "request");
  if (plan.turns_sent > 0) {
    text += fmt::format("{}{} may write", requests > 0 ? ", and " : "",
                        counted(plan.turns_sent, "opaque turn"));
  }
  return text + "\n";
}

std::string quoted(std::string_view line) {
  return line.empty() ? "(no such line)" : elided(printable(line), example_columns_max);
}

// What a rule does, as it was asked for.
std::string rule_text(const RewriteRule& rule) {
  return printable(rule.value ? rule.line() : "without " + rule.name);
}

std::string rewritten_text(const DryRun& dry) {
  if (dry.rules.empty()) return "";
  const RewriteTally& tally = dry.plan.rewritten;
  std::string text = fmt::format("rewritten: {}\n", counted(tally.requests, "request"));
  for (size_t i = 0; i < tally.by_rule.size(); ++i) {
    text += fmt::format("  {} in {}\n", rule_text(dry.rules[i]), grouped(tally.by_rule[i]));
  }
  if (!tally.example) return text;
  const auto& [before, after] = *tally.example;
  return text + fmt::format("  for example: {} -> {}\n", quoted(before), quoted(after));
}

std::string tape_text(const Plan& plan) {
  std::string text;
  if (plan.connections_not_recorded > 0) {
    text += fmt::format("{} not on the tape, only that they were there\n",
                        counted(plan.connections_not_recorded, "connection"));
  }
  if (plan.blocks_lost > 0) {
    text += fmt::format("the tape is damaged: {} lost\n", counted(plan.blocks_lost, "block"));
  }
  return plan.torn ? text + "the tape is torn: what follows its last whole block is not there\n"
                   : text;
}

void write_rewritten(JsonWriter& json, const DryRun& dry) {
  const RewriteTally& tally = dry.plan.rewritten;
  json.key("rewritten").begin_object().field("requests", tally.requests);
  json.key("rules").begin_list();
  for (size_t i = 0; i < tally.by_rule.size(); ++i) {
    json.begin_object().field("name", dry.rules[i].name).key("value");
    dry.rules[i].value ? json.value(*dry.rules[i].value) : json.null();
    json.field("requests", tally.by_rule[i]).end_object();
  }
  json.end_list();
  if (tally.example) {
    json.key("example").begin_object().field("before", tally.example->before);
    json.field("after", tally.example->after).end_object();
  }
  json.end_object();
}

void write_counts(JsonWriter& json, const char* key,
                  const std::map<std::string, uint64_t>& counts) {
  json.key(key).begin_object();
  for (const auto& [name, count] : counts) json.field(name, count);
  json.end_object();
}

}  // namespace

Result<DryRun> dry_run(const ReplayOptions& options) {
  auto addresses = resolve_target(options.target);
  if (!addresses) return addresses.error();
  DryRun dry;
  dry.rules = rules_of(options.rewrite, options.target);
  auto tape = TapeSource::open(options.tape, options.loops);
  if (!tape) return tape.error();
  auto plan = look_through(**tape, options.target, *addresses, options.stretch, dry.rules);
  if (!plan) return plan.error();
  dry.tape = options.tape;
  dry.target = options.target.text();
  dry.speed = options.speed_text;
  dry.pace = options.pace;
  if (!options.speed.is_max() && options.pace == Pace::recorded) {
    dry.duration_ns = options.speed.scale(plan->recorded_ns);
  }
  dry.refusal = why_refused(options.guard, options.target, *addresses, *plan);
  dry.addresses = std::move(*addresses);
  dry.plan = std::move(*plan);
  return dry;
}

std::string dry_run_text(const DryRun& dry) {
  const Plan& plan = dry.plan;
  std::string text = "dry run: nothing was sent\n";
  text +=
      fmt::format("target {}: {}\n", target_text(dry), dry.refusal.empty() ? "allowed" : "refused");
  text +=
      fmt::format("would send {} and {}, {}, on {}, {}\n", counted(plan.requests_sent, "request"),
                  counted(plan.turns_sent, "opaque turn"), counted(plan.bytes, "byte"),
                  counted(plan.connections, "connection"), duration_text(dry));
  if (!plan.methods.empty()) text += "methods: " + counts_text(plan.methods) + "\n";
  text += writes_text(plan);
  if (!plan.not_sent.empty()) text += "would not send: " + counts_text(plan.not_sent) + "\n";
  return text + rewritten_text(dry) + tape_text(plan);
}

std::string dry_run_json(const DryRun& dry) {
  const Plan& plan = dry.plan;
  JsonWriter json(JsonWriter::Layout::indented);
  json.begin_object().field("dry_run", true).field("tape", dry.tape);
  json.field("target", dry.target).key("addresses").begin_list();
  for (const Address& address : dry.addresses) json.value(address.text());
  json.end_list();
  json.field("allowed", dry.refusal.empty());
  if (!dry.refusal.empty()) json.field("refusal", dry.refusal);
  json.field("connections", plan.connections);
  json.field("requests_scheduled", plan.requests + plan.turns);
  json.field("turns", plan.turns).field("bytes", plan.bytes).key("duration_ns");
  dry.duration_ns ? json.value(*dry.duration_ns) : json.null();
  write_counts(json, "methods", plan.methods);
  json.field("writes", plan.requests_writing()).field("may_write", plan.turns_sent);
  write_counts(json, "not_sent", plan.not_sent);
  write_rewritten(json, dry);
  json.field("connections_not_recorded", plan.connections_not_recorded);
  json.field("blocks_lost", plan.blocks_lost).field("torn", plan.torn);
  return json.end_object().take() + "\n";
}

}  // namespace wiretape
