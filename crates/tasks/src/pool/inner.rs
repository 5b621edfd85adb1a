//! Pools within tasks.

use super::Pool;
use super::config::PoolConfig;
use h5part_base::error::Result;
use h5part_base::sync;
use std::fmt;
use std::sync::{Arc, Mutex};

/// Opens a pool of this configuration.
pub(super) type Open = dyn Fn(&PoolConfig) -> Result<Arc<dyn Pool>> + Send + Sync;

/// Pools within tasks: as many as tasks that use one run at once. They are made on demand.
pub(super) struct InnerPools {
    config: PoolConfig,
    open: Box<Open>,
    idle: Mutex<Vec<Arc<dyn Pool>>>,
}

impl InnerPools {
    pub(super) fn new(config: PoolConfig, open: Box<Open>) -> Self {
        Self { config, open, idle: Mutex::default() }
    }

    pub(super) fn config(&self) -> &PoolConfig {
        &self.config
    }

    pub(super) fn take(&self) -> Result<Arc<dyn Pool>> {
        let idle = sync::lock(&self.idle).pop();
        idle.map_or_else(|| (self.open)(&self.config), Ok)
    }

    pub(super) fn give_back(&self, pool: Arc<dyn Pool>) {
        sync::lock(&self.idle).push(pool);
    }
}

impl fmt::Debug for InnerPools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.config.fmt(f)
    }
}
