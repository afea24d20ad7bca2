// The option table: what it takes, what it refuses, and that every refusal says what to do.
#include "cli/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>

namespace wiretape {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class OptionsTest : public testing::Test {
 protected:
  OptionsTest() {
    options_.usage("TAPE [options]");
    options_.example("try it", "wiretape try session.tape");
    options_.flag("-f,--force", "overwrite", &force_);
    options_.text("-o,--output", "FILE", "where to", &output_);
    options_.texts("--ignore", "RULE", "what to leave out", &ignore_);
    options_.duration("--drain", "how long", &drain_ns_);
    options_.integer("--compress", "level", &level_, -7, 19);
    options_.choice("--overload", "what then", {"wait", "skip"}, &overload_);
    options_.not_built({"--pcap"});
    options_.command(&command_);
  }
  void with_tape() { options_.positional("TAPE", "the tape", &tape_); }

  // What the line is refused with; "" when it is taken.
  std::string refusal(const Arguments& arguments) {
    const auto outcome = options_.read(arguments);
    if (!outcome) return "";
    EXPECT_EQ(outcome->status, exit_status::usage);
    EXPECT_FALSE(outcome->error.empty());
    return outcome->error;
  }

  Options options_{"try", "Tries things."};
  bool force_ = false;
  std::string output_, tape_, overload_ = "wait";
  std::vector<std::string> ignore_, command_;
  int64_t drain_ns_ = 0;
  int level_ = 1;
};

TEST_F(OptionsTest, ValuesComeBehindASpaceOrAnEqualsSign) {
  EXPECT_EQ(refusal({"--output", "a", "--drain=2s", "--overload", "skip"}), "");
  EXPECT_EQ(output_, "a");
  EXPECT_EQ(drain_ns_, 2'000'000'000);
  EXPECT_EQ(overload_, "skip");
  EXPECT_TRUE(options_.given("--drain"));
  EXPECT_FALSE(options_.given("--compress"));
}

TEST_F(OptionsTest, ShortFlagsCanBeJoined) {
  EXPECT_EQ(refusal({"-fo", "a"}), "");
  EXPECT_TRUE(force_);
  EXPECT_EQ(output_, "a");
}

TEST_F(OptionsTest, NegativeNumbersAreValues) {
  EXPECT_EQ(refusal({"--compress", "-3"}), "");
  EXPECT_EQ(level_, -3);
}

TEST_F(OptionsTest, DashIsATape) {
  with_tape();
  EXPECT_EQ(refusal({"-"}), "");
  EXPECT_EQ(tape_, "-");
}

TEST_F(OptionsTest, ListsCollectInOrder) {
  EXPECT_EQ(refusal({"--ignore", "a", "--ignore=b"}), "");
  EXPECT_THAT(ignore_, ElementsAre("a", "b"));
}

TEST_F(OptionsTest, ListTakesOneValueAtATime) {
  with_tape();
  EXPECT_EQ(refusal({"--ignore", "a", "session.tape"}), "");
  EXPECT_THAT(ignore_, ElementsAre("a"));
  EXPECT_EQ(tape_, "session.tape");
}

TEST_F(OptionsTest, EverythingBehindTwoDashesIsTheCommand) {
  EXPECT_EQ(refusal({"-f", "--", "curl", "--force", "--", "-x"}), "");
  EXPECT_THAT(command_, ElementsAre("curl", "--force", "--", "-x"));
}

TEST_F(OptionsTest, MistypedFlagIsNamedWithWhatWasMeant) {
  EXPECT_EQ(refusal({"--ouput", "a"}), "unknown flag --ouput (did you mean --output?)");
  EXPECT_EQ(refusal({"--banana=3"}), "unknown flag --banana (see wiretape try --help)");
  EXPECT_EQ(refusal({"-z"}), "unknown flag -z (see wiretape try --help)");
}

TEST_F(OptionsTest, FlagOfALaterVersionIsRefusedByName) {
  EXPECT_EQ(refusal({"--pcap", "x"}), "--pcap is not in this version");
  EXPECT_EQ(refusal({"--pcap=x"}), "--pcap is not in this version");
  EXPECT_THAT(options_.help(), Not(HasSubstr("--pcap")));
}

TEST_F(OptionsTest, BadValueIsNamedWithItsFlag) {
  EXPECT_EQ(refusal({"--drain", "5x"}), "--drain: \"5x\" is not a duration (try 5s, 200ms or 1m)");
  EXPECT_EQ(refusal({"--overload", "drop"}), "--overload: \"drop\" is not one of wait|skip");
}

TEST_F(OptionsTest, MissingValueIsNoticed) {
  EXPECT_THAT(refusal({"--output"}), HasSubstr("--output needs a value"));
}

TEST_F(OptionsTest, FlagIsNotTakenForAValue) {
  EXPECT_EQ(refusal({"--output", "--force"}), "--output needs a value (FILE)");
}

TEST_F(OptionsTest, EmptyValueIsNotTheNextArgument) {
  EXPECT_EQ(refusal({"--output=", "a"}), "--output needs a value (FILE)");
}

TEST_F(OptionsTest, FlagTakesNoValue) {
  EXPECT_EQ(refusal({"--force=yes"}), "--force takes no value");
}

TEST_F(OptionsTest, ValueGivenTwiceIsRefusedAndFlagIsNot) {
  EXPECT_EQ(refusal({"-f", "-f"}), "");
  EXPECT_EQ(refusal({"-o", "a", "-o", "b"}), "--output is given twice");
}

TEST_F(OptionsTest, MissingTapeIsNoticed) {
  with_tape();
  EXPECT_EQ(refusal({"-f"}), "TAPE is missing (see wiretape try --help)");
}

TEST_F(OptionsTest, SecondTapeIsRefused) {
  Options show("show", "Shows.");
  show.positional("TAPE", "the tape", &tape_);
  EXPECT_EQ(show.read({"a", "b"})->error, "unexpected argument \"b\" (show takes one TAPE)");
}

TEST_F(OptionsTest, CommandWithoutDashesIsSaidToNeedThem) {
  const std::string hint = "unexpected argument \"npm\" (put -- before a command)";
  EXPECT_EQ(refusal({"-f", "npm", "test"}), hint);
  EXPECT_EQ(refusal({"npm", "test", "--watch"}), hint);
  EXPECT_EQ(refusal({"--ouput", "npm"}), "unknown flag --ouput (did you mean --output?)");
}

TEST_F(OptionsTest, DashesWithoutACommandAreRefused) {
  EXPECT_THAT(refusal({"-f", "--"}), HasSubstr("no command behind --"));
}

TEST_F(OptionsTest, SlipOfTheMindIsNamedWithWhatWasMeant) {
  options_.mistaken("--upstream", "--output");
  options_.mistaken("-t", "--output");
  EXPECT_EQ(refusal({"--upstream", "a"}), "unknown flag --upstream (did you mean --output?)");
  EXPECT_EQ(refusal({"-t", "a"}), "unknown flag -t (did you mean --output?)");
}

TEST_F(OptionsTest, PortAloneIsTakenForWhatItIs) {
  Endpoint target;
  options_.endpoint("--target", "where to", PortZero::refused, &target);
  EXPECT_EQ(refusal({"--target", "3001"}),
            "--target: bad address '3001': no port (did you mean :3001?)");
}

TEST_F(OptionsTest, NumberThatIsNoPortIsNotSuggested) {
  Endpoint target;
  options_.endpoint("--target", "where to", PortZero::refused, &target);
  EXPECT_THAT(refusal({"--target", "99999"}), Not(HasSubstr("did you mean")));
}

TEST_F(OptionsTest, MissingRequiredFlagIsNamed) {
  Endpoint target;
  options_.endpoint("--target", "where to", PortZero::refused, &target).required();
  EXPECT_EQ(refusal({"-f"}), "--target ADDR is missing (see wiretape try --help)");
  EXPECT_EQ(refusal({"--target", "127.0.0.1:80"}), "");
  EXPECT_EQ(target.port, 80);
}

TEST_F(OptionsTest, HelpWinsOverErrors) {
  const auto outcome = options_.read({"--banana", "--help"});
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->status, exit_status::done);
  EXPECT_THAT(outcome->out, HasSubstr("usage: wiretape try TAPE [options]"));
  EXPECT_THAT(outcome->out, HasSubstr("-o, --output FILE"));
  EXPECT_THAT(outcome->out, HasSubstr("wiretape try session.tape"));
}

TEST_F(OptionsTest, HelpOfTheCommandIsNotOurs) {
  EXPECT_EQ(refusal({"-f", "--", "curl", "--help"}), "");
}

TEST_F(OptionsTest, HelpFitsIn100Columns) {
  std::string words;
  for (int i = 0; i < 60; ++i) words += "words of help ";
  options_.flag("--long", words, &force_);
  std::string line;
  size_t lines = 0;
  for (std::istringstream text(options_.help()); std::getline(text, line); ++lines) {
    EXPECT_LE(line.size(), 100u) << line;
  }
  EXPECT_GT(lines, 20u);
}

TEST_F(OptionsTest, ColourObeysTheFlagAndNoColor) {
  setenv("NO_COLOR", "1", 1);
  EXPECT_EQ(refusal({}), "");
  EXPECT_FALSE(options_.colored(stdout));
  EXPECT_EQ(refusal({"--color=always"}), "");
  EXPECT_TRUE(options_.colored(stdout));
  unsetenv("NO_COLOR");
}

TEST_F(OptionsTest, QuietAndVerboseSetTheVerbosity) {
  EXPECT_EQ(refusal({"-q"}), "");
  EXPECT_EQ(options_.verbosity(), -1);
  EXPECT_EQ(refusal({"--verbose"}), "");
  EXPECT_EQ(options_.verbosity(), 1);
}

}  // namespace
}  // namespace wiretape
