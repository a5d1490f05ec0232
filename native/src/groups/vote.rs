//! Votes: so many of so many detectors must agree. One that cannot be relied upon leaves the vote, and never says no.

/// What becomes of a vote when members have left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Each that has left counts as if it had voted: 2oo3 becomes 1oo2.
    Safe,
    /// As many as before must agree: 2oo3 becomes 2oo2.
    Same,
}

impl Policy {
    pub fn find(name: &str) -> Option<Self> {
        match name {
            "safe" => Some(Self::Safe),
            "same" => Some(Self::Same),
            _ => None,
        }
    }
}

/// How one member stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ballot {
    /// Its condition is true, as far as anybody knows.
    pub is_active: bool,
    /// Why it has left the vote.
    pub out: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    No,
    /// It starts nothing and ends nothing: those who left had voted, or too few are left to say no.
    Open,
    Yes,
}

/// A count of votes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    pub votes: usize,
    /// Of members that have left while their condition was true.
    pub held: usize,
    pub present: usize,
    pub needed: usize,
}

impl Count {
    pub fn of(ballots: &[Ballot], needed: usize, policy: Policy) -> Self {
        let count = |is: &dyn Fn(&&Ballot) -> bool| ballots.iter().filter(is).count();
        let present = count(&|ballot| ballot.out.is_none());
        let out = ballots.len() - present;
        Self {
            votes: count(&|ballot| ballot.is_active && ballot.out.is_none()),
            held: count(&|ballot| ballot.is_active && ballot.out.is_some()),
            present,
            needed: match policy {
                Policy::Safe => needed.saturating_sub(out).max(1),
                Policy::Same => needed,
            },
        }
    }

    /// Whether nobody could bring it about any more.
    pub fn is_lost(&self) -> bool {
        self.present < self.needed
    }

    pub fn outcome(&self) -> Outcome {
        if self.votes >= self.needed {
            Outcome::Yes
        } else if self.is_lost() || self.votes + self.held >= self.needed {
            Outcome::Open
        } else {
            Outcome::No
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(states: &str, needed: usize, policy: Policy) -> Count {
        let ballot = |state| Ballot { is_active: "yY".contains(state), out: "NY".contains(state).then_some("silent") };
        Count::of(&states.chars().map(ballot).collect::<Vec<_>>(), needed, policy)
    }

    /// y, n: in the vote; Y, N: out of it, with the condition true or not.
    fn outcome(states: &str, needed: usize, policy: Policy) -> Outcome {
        counted(states, needed, policy).outcome()
    }

    #[test]
    fn two_of_three_by_hand() {
        use Outcome::{No, Open, Yes};
        for (states, safe, same) in [
            ("nnn", No, No),
            ("ynn", No, No),
            ("yyn", Yes, Yes),
            ("Nnn", No, No),
            ("Nyn", Yes, No),
            ("Nyy", Yes, Yes),
            ("Ynn", Open, No),
            ("Yyn", Yes, Open),
            ("NNn", No, Open),
            ("NNy", Yes, Open),
            ("YYn", Open, Open),
            ("NNN", Open, Open),
            ("YYY", Open, Open),
        ] {
            assert_eq!((outcome(states, 2, Policy::Safe), outcome(states, 2, Policy::Same)), (safe, same), "{states}");
        }
    }

    #[test]
    fn every_vote_of_up_to_five_members() {
        for members in 1..=5u32 {
            for number in 0..4usize.pow(members) {
                let state = |place| ["n", "y", "N", "Y"][number / 4usize.pow(place) % 4];
                let states: Vec<_> = (0..members).map(state).collect();
                let text = states.concat();
                for needed in 1..=members as usize {
                    for policy in [Policy::Safe, Policy::Same] {
                        check(&text, needed, policy);
                    }
                }
            }
        }
    }

    fn check(states: &str, needed: usize, policy: Policy) {
        let case = format!("{needed} of {states} {policy:?}");
        let (count, present) = (counted(states, needed, policy), states.to_lowercase());
        assert_eq!(count.present + states.matches(['N', 'Y']).count(), states.len(), "{case}");
        if states == present {
            // all are there: a vote is counting
            let is = states.matches('y').count() >= needed;
            assert_eq!(count.outcome(), if is { Outcome::Yes } else { Outcome::No }, "{case}");
        }
        for (place, _) in states.match_indices(['y', 'n']) {
            let left = format!("{}{}{}", &states[..place], states[place..=place].to_uppercase(), &states[place + 1..]);
            let after = outcome(&left, needed, policy);
            // who leaves never says no for those who voted
            assert!(count.outcome() != Outcome::Yes || after != Outcome::No, "{case} -> {left}");
            // the safe side never needs more than before
            assert!(counted(&left, needed, Policy::Safe).needed <= counted(states, needed, Policy::Safe).needed);
        }
        if count.present == 0 {
            assert_eq!((count.outcome(), count.is_lost()), (Outcome::Open, true), "{case}");
        }
        if policy == Policy::Safe {
            assert_eq!(count.is_lost(), count.present == 0, "{case}");
        }
    }
}
