// The report over HTTP, made anew when it is asked for.
#pragma once
#include <string>
#include <vector>

namespace retort {

/// Serves the page of these runs (distill/page.h) at http://127.0.0.1:PORT/ and its data at
/// /page.json, and prints the address, until the process is stopped. Port 0 is any free one. Only
/// requests to 127.0.0.1, localhost or [::1] with this port are answered, others with status 403;
/// where a folder goes away meanwhile, the answer is one line that says so. Throws where a folder
/// is missing at the start, or the port is taken.
void serve(const std::vector<std::string>& folders, int port);

}  // namespace retort
