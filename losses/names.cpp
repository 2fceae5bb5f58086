#include "losses/names.h"

#include <algorithm>

#include "engine/suggest.h"
#include "losses/divergence.h"
#include "losses/transport.h"

namespace retort {

std::vector<std::string> logit_losses() {
  std::vector<std::string> names;
  for (const DivergenceInfo& d : divergences()) names.push_back(d.name);
  for (const TransportInfo& t : transport_losses()) names.push_back(t.name);
  return names;
}

std::vector<std::string> term_losses() {
  std::vector<std::string> names{"ce", "mse", "hidden"}, others = logit_losses();
  names.insert(names.end(), others.begin(), others.end());
  return names;
}

void check_loss_name(const std::string& name, const std::vector<std::string>& names) {
  std::string base = name.substr(0, name.find(':')), list;
  for (const std::string& n : names) {
    if (n == name) return;
    list += (list.empty() ? "" : ", ") + n;
  }
  for (const DivergenceInfo& d : divergences())
    if (d.name == base) return;
  std::string meant = did_you_mean(name, names);
  fail("no loss \"" + name + "\"; there are: " + list +
       (meant.empty() ? did_you_mean(base, names) : meant));
}

}  // namespace retort
