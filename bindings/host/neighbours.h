// The runs of this machine's user know of each other: each that trains holds a locked file that says on how many
// threads.
#pragma once

namespace gradus {

// From now on this process counts as training on so many threads, until it ends or calls again. Returns the threads of
// the others; runs that one process began count as one group and see nothing of each other. A folder that cannot be
// written is no error: then there are no others. GRADUS_ALONE=1 asks for that, too.
int share_cores(int threads);
void leave_cores();  // this process trains no more

}  // namespace gradus
