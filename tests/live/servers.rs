//! Other primaries than BIND: the whole rotation with Knot DNS and `PowerDNS`. `tests/run.sh --real` installs them and runs
//! these.

mod reads;
mod rotation;
