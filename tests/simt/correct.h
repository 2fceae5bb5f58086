// Checks of the correct kernels against plain loops, at sizes below, at and above those of warps,
// tiles and blocks.
#pragma once

namespace correct {

/// Prints a line for every kernel that is wrong; 0 when there is none.
int check_all();

}  // namespace correct
