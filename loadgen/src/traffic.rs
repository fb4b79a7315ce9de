//! Which inquiry stands in which slot. Everything follows from the seed and the slot's index, so that shards
//! and threads ask together what one sender would have asked alone.

use crate::keys::ApiKey;
use crate::order::Order;
use crate::random::{Random, Zipf};
use crate::scenario::{Class, Provider, Scenario};
use crate::targets::Targets;
use crate::vocabulary::Endpoint;

/// How far back an inquiry is repeated.
const REINQUIRY_SLOTS: u64 = 2_000;
/// How often one re-inquiry may lead to another; a chain so long is rare but at shares near 1.
const REINQUIRY_CHAIN_MAX: u32 = 64;

/// Why the traffic cannot be made of what was given.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrafficError {
    #[error(
        "the targets have no `{class}` inquiry for the {endpoint} endpoint, but the scenario's mix asks for them; \
             leave the class out or add targets"
    )]
    NoTargets { class: &'static str, endpoint: &'static str },
    #[error("the scenario's provider {kind} has no key: --key-file holds none whose id begins with {prefix}")]
    NoKey { kind: String, prefix: String },
    #[error("the scenario asks for inpatient care, but no [[provider]] with `inpatient = true` may")]
    NobodyInpatient,
}

/// One request's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pick {
    /// Of `Targets::inquiries`.
    pub(crate) inquiry: u32,
    /// Of the keys; absent: the connection's own.
    pub(crate) key: Option<u32>,
}

/// Picks the inquiry of each slot.
#[derive(Debug, Clone)]
pub(crate) struct Picker {
    seed: u64,
    source: Source,
    providers: Providers,
    /// Which inquiries only some providers may send.
    inpatient: Vec<bool>,
}

#[derive(Debug, Clone)]
enum Source {
    Passes { count: u32 },
    Mix(Mix),
}

#[derive(Debug, Clone)]
struct Mix {
    personal_share: f64,
    reinquiry_share: f64,
    general: Pools,
    personal: Pools,
}

/// The classes of one endpoint, with the weight up to and including each.
#[derive(Debug, Clone, Default)]
struct Pools(Vec<(f64, Pool)>);

#[derive(Debug, Clone)]
struct Pool {
    inquiries: Vec<u32>,
    zipf: Zipf,
}

/// The kinds of providers: (weight up to and including, may ask for inpatient care, keys).
#[derive(Debug, Clone, Default)]
struct Providers {
    any: Vec<(f64, Vec<u32>)>,
    inpatient: Vec<(f64, Vec<u32>)>,
}

/// The picker's part that goes through passes; each sender has its own.
#[derive(Debug)]
pub(crate) struct Cursor(Option<Order>);

impl Picker {
    pub(crate) fn new(
        scenario: &Scenario,
        seed: u64,
        targets: &Targets,
        keys: &[ApiKey],
    ) -> Result<Picker, TrafficError> {
        let count =
            u32::try_from(targets.inquiries.len()).expect("bodies of at least 2 bytes fill 4 GiB first");
        let source = match &scenario.traffic {
            None => Source::Passes { count },
            Some(traffic) => {
                let pools = |endpoint| Pools::new(traffic, seed, targets, endpoint);
                let asks =
                    |share: f64, endpoint| if share > 0.0 { pools(endpoint) } else { Ok(Pools::default()) };
                Source::Mix(Mix {
                    personal_share: traffic.personal_share,
                    reinquiry_share: traffic.reinquiry_share,
                    general: asks(1.0 - traffic.personal_share, Endpoint::General)?,
                    personal: asks(traffic.personal_share, Endpoint::Personal)?,
                })
            }
        };
        let inpatient: Vec<bool> = targets.inquiries.iter().map(|i| i.class == Class::Inpatient).collect();
        let providers = Providers::new(&scenario.providers, keys)?;
        if !providers.any.is_empty() && providers.inpatient.is_empty() && asked_inpatient(&source, &inpatient)
        {
            return Err(TrafficError::NobodyInpatient);
        }
        Ok(Picker { seed, source, providers, inpatient })
    }

    /// A sender's place in the passes.
    pub(crate) fn cursor(&self) -> Cursor {
        match self.source {
            Source::Passes { count } => Cursor(Some(Order::new(count, self.seed))),
            Source::Mix(_) => Cursor(None),
        }
    }

    /// What the slot asks. Indices must not go back where there are passes.
    pub(crate) fn pick(&self, cursor: &mut Cursor, index: u64) -> Pick {
        let inquiry = match (&self.source, &mut cursor.0) {
            (Source::Mix(mix), _) => mix.pick(self.seed, index),
            (Source::Passes { .. }, Some(order)) => order.at(index) as u32,
            (Source::Passes { .. }, None) => 0,
        };
        let mut random = Random::at(self.seed ^ 0x9B0F, index);
        let inpatient = self.inpatient[inquiry as usize];
        let kinds = if inpatient { &self.providers.inpatient } else { &self.providers.any };
        let key = weighted(kinds, &mut random).map(|keys| keys[random.below(keys.len() as u64) as usize]);
        Pick { inquiry, key }
    }
}

fn asked_inpatient(source: &Source, inpatient: &[bool]) -> bool {
    match source {
        Source::Passes { .. } => inpatient.contains(&true),
        Source::Mix(mix) => {
            let pools = mix.general.0.iter().chain(&mix.personal.0);
            pools.flat_map(|(_, pool)| &pool.inquiries).any(|&index| inpatient[index as usize])
        }
    }
}

/// The entry that a weighted draw falls on.
fn weighted<'a, T>(entries: &'a [(f64, T)], random: &mut Random) -> Option<&'a T> {
    let total = entries.last()?.0;
    let place = random.unit() * total;
    entries.iter().find(|(up_to, _)| place < *up_to).or(entries.last()).map(|(_, entry)| entry)
}

impl Mix {
    fn pick(&self, seed: u64, index: u64) -> u32 {
        let mut slot = index;
        for _ in 0..REINQUIRY_CHAIN_MAX {
            let mut random = Random::at(seed, slot);
            if slot == 0 || self.reinquiry_share <= 0.0 || random.unit() >= self.reinquiry_share {
                break;
            }
            // The slot before may have asked again itself: then it is that one's person.
            slot -= 1 + random.below(REINQUIRY_SLOTS.min(slot));
        }
        self.fresh(&mut Random::at(seed, slot), self.reinquiry_share > 0.0)
    }

    /// A draw that looks at no other slot; `skip` steps over the number that decided on a re-inquiry.
    fn fresh(&self, random: &mut Random, skip: bool) -> u32 {
        if skip {
            random.next();
        }
        let personal = random.unit() < self.personal_share;
        let pools = if personal { &self.personal } else { &self.general };
        let pool = weighted(&pools.0, random).expect("an endpoint with a share has pools");
        pool.inquiries[pool.zipf.draw(random) as usize]
    }
}

impl Pools {
    fn new(
        traffic: &crate::scenario::Traffic,
        seed: u64,
        targets: &Targets,
        endpoint: Endpoint,
    ) -> Result<Pools, TrafficError> {
        let indices = |class: Option<Class>| -> Vec<u32> {
            let all = targets.inquiries.iter().enumerate();
            let ours =
                all.filter(|(_, i)| i.endpoint == endpoint && class.is_none_or(|class| i.class == class));
            ours.map(|(index, _)| index as u32).collect()
        };
        let pool = |mut inquiries: Vec<u32>| {
            // Who is asked for most must not depend on the order of the file.
            Random::at(seed, 0x2199).shuffle(&mut inquiries);
            let zipf = Zipf::new(inquiries.len() as u64, traffic.zipf);
            Pool { inquiries, zipf }
        };
        let missing = |class| TrafficError::NoTargets { class, endpoint: endpoint.code() };
        let Some(mix) = &traffic.mix else {
            let all = indices(None);
            return if all.is_empty() { Err(missing("any")) } else { Ok(Pools(vec![(1.0, pool(all))])) };
        };
        let (mut pools, mut sum) = (Vec::new(), 0.0);
        for class in Class::ALL {
            // The personal endpoint takes no `care`.
            if mix.weight(class) <= 0.0 || (class == Class::Inpatient && endpoint == Endpoint::Personal) {
                continue;
            }
            let inquiries = indices(Some(class));
            if inquiries.is_empty() {
                return Err(missing(class.name()));
            }
            sum += mix.weight(class);
            pools.push((sum, pool(inquiries)));
        }
        if pools.is_empty() { Err(missing("any")) } else { Ok(Pools(pools)) }
    }
}

impl Providers {
    fn new(providers: &[Provider], keys: &[ApiKey]) -> Result<Providers, TrafficError> {
        let mut built = Providers::default();
        let (mut sum, mut inpatient_sum) = (0.0, 0.0);
        for provider in providers.iter().filter(|provider| provider.weight > 0.0) {
            let theirs =
                keys.iter().enumerate().filter(|(_, key)| key.reveal().starts_with(&provider.key_prefix));
            let theirs: Vec<u32> = theirs.map(|(index, _)| index as u32).collect();
            if theirs.is_empty() {
                let (kind, prefix) = (provider.kind.clone(), provider.key_prefix.clone());
                return Err(TrafficError::NoKey { kind, prefix });
            }
            sum += provider.weight;
            if provider.inpatient {
                inpatient_sum += provider.weight;
                built.inpatient.push((inpatient_sum, theirs.clone()));
            }
            built.any.push((sum, theirs));
        }
        Ok(built)
    }
}
