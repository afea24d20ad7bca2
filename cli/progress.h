// The line that says how far a run has come.
#pragma once

#include <string>

#include "replayer/replayer.h"

namespace wiretape {

std::string progress_text(const Progress& progress);
// On standard error's status line (base/log.h): only on a terminal.
void show_progress(const Progress& progress);

}  // namespace wiretape
