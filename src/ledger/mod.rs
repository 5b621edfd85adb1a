//! Which tasks there are, who works on them, and which are done: one file that any number of workers,
//! on any number of hosts, share without a server.
