#include "ledger/mutation.h"

namespace headrace::ledger {

#ifdef HEADRACE_LEDGER_MUTATIONS
Mutation active_mutation = Mutation::kNone;
#endif

}  // namespace headrace::ledger
