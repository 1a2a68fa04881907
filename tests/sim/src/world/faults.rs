//! What goes wrong, and how it is put right again.

use std::time::Duration;

use super::{World, lock, machine, server};
use crate::plan::{Fault, Kind};

/// Where the plan stands.
#[derive(Default)]
pub(super) struct Under {
    /// So many faults have begun.
    begun: usize,
    /// Those that have not ended.
    present: Vec<Fault>,
    /// Servers that are down, and whether nobody was told.
    down: Vec<(usize, bool)>,
    /// Everything was put right.
    calm: bool,
}

impl Under {
    pub(super) fn is_calm(&self) -> bool {
        self.calm
    }
}

impl World {
    /// Begins and ends what is due; puts all right when the chaos is over.
    pub(super) fn faults(&mut self, now: Duration) -> std::io::Result<()> {
        if self.under.calm {
            return Ok(());
        }
        let present = std::mem::take(&mut self.under.present);
        let over = now >= self.plan.chaos;
        let (ended, present): (Vec<_>, Vec<_>) = present.into_iter().partition(|fault| over || fault.until <= now);
        self.under.present = present;
        for fault in ended {
            self.end(&fault.kind)?;
        }
        if over {
            self.put_right();
            self.under.calm = true;
            return Ok(());
        }
        while let Some(fault) = self.plan.faults.get(self.under.begun).filter(|fault| fault.at <= now) {
            let fault = fault.clone();
            self.under.begun += 1;
            if self.begin(&fault, now) {
                lock(&self.observer)
                    .trace
                    .add(now, &format!("{:?} until {:?}", fault.kind, fault.until));
                self.under.present.push(fault);
            }
        }
        Ok(())
    }

    /// Whether there is something to begin.
    fn begin(&mut self, fault: &Fault, now: Duration) -> bool {
        let plan = &self.plan;
        match fault.kind {
            Kind::Hold(one, other) => self.sim.hold(machine(one), server(other)),
            Kind::Cut(one, other) => self.sim.partition(machine(one), server(other)),
            Kind::CutTo(one, other) => self.sim.partition_oneway(machine(one), server(other)),
            Kind::CutFrom(one, other) => self.sim.partition_oneway(server(other), machine(one)),
            Kind::Isolate(one) => (0..plan.servers).for_each(|other| self.sim.partition(machine(one), server(other))),
            Kind::Slow(one, other, latency) => {
                self.sim
                    .set_link_max_message_latency(machine(one), server(other), latency.max(plan.latency));
            }
            Kind::Crash { server, keeps, silent } => return self.crash(server, keeps, silent, now),
            Kind::Freeze(server) => self.servers[server].freeze(true),
            Kind::Full(server) => self.servers[server].server().full = true,
            Kind::ForgetScripts(server) => self.servers[server].server().forget_scripts(),
            Kind::ForgetAll(server) => {
                self.servers[server].server().forget();
                lock(&self.observer).allowance.lost(server, now);
            }
            Kind::Pause(index) => match &mut self.machines[index] {
                Some(machine) => machine.pause(fault.until),
                None => return false,
            },
            Kind::Kill(index) => {
                if self.machines[index].is_none() || !self.is_at_work(index) {
                    return false;
                }
                lock(&self.observer).killed(index, now);
                self.sim.crash(machine(index));
                self.machines[index] = None;
            }
            Kind::Jump(server, by) => self.servers[server].server().clock.ahead += by,
        }
        true
    }

    fn end(&mut self, kind: &Kind) -> std::io::Result<()> {
        match *kind {
            Kind::Hold(one, other) => self.sim.release(machine(one), server(other)),
            Kind::Cut(one, other) => self.sim.repair(machine(one), server(other)),
            Kind::CutTo(one, other) => self.sim.repair_oneway(machine(one), server(other)),
            Kind::CutFrom(one, other) => self.sim.repair_oneway(server(other), machine(one)),
            Kind::Isolate(one) => {
                (0..self.plan.servers).for_each(|other| self.sim.repair(machine(one), server(other)));
            }
            Kind::Slow(one, other, _) => {
                self.sim
                    .set_link_max_message_latency(machine(one), server(other), self.plan.latency);
            }
            Kind::Crash { server, .. } => self.restart(server),
            Kind::Freeze(server) => self.servers[server].freeze(false),
            Kind::Full(server) => self.servers[server].server().full = false,
            Kind::Kill(index) => {
                // The kernel finds the new process when it starts.
                self.start_machine(index)?;
                self.sim.bounce(machine(index));
            }
            Kind::ForgetScripts(_) | Kind::ForgetAll(_) | Kind::Pause(_) | Kind::Jump(..) => {}
        }
        Ok(())
    }

    fn crash(&mut self, index: usize, keeps: bool, silent: bool, now: Duration) -> bool {
        if self.under.down.iter().any(|(down, _)| *down == index) {
            return false;
        }
        self.under.down.push((index, silent));
        if silent {
            for one in 0..self.plan.machines {
                self.sim.partition(machine(one), server(index));
            }
        }
        self.sim.crash(server(index));
        if !keeps {
            self.servers[index].server().forget();
            lock(&self.observer).allowance.lost(index, now);
        }
        true
    }

    fn restart(&mut self, index: usize) {
        let Some(place) = self.under.down.iter().position(|(down, _)| *down == index) else {
            return;
        };
        let (_, silent) = self.under.down.remove(place);
        if silent {
            for one in 0..self.plan.machines {
                self.sim.repair(machine(one), server(index));
            }
        }
        self.sim.bounce(server(index));
    }

    /// What later faults may have left behind.
    fn put_right(&mut self) {
        for one in 0..self.plan.machines {
            for other in 0..self.plan.servers {
                self.sim.release(machine(one), server(other));
                self.sim
                    .set_link_max_message_latency(machine(one), server(other), self.plan.latency);
            }
        }
    }

    fn is_at_work(&self, index: usize) -> bool {
        self.machines[index]
            .as_ref()
            .is_some_and(|machine| machine.main.is_some())
    }
}
