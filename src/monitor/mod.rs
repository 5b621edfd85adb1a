//! What work cost: time, memory, counts and bytes of named operations, each worker in a file of its own.
