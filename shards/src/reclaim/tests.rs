use super::*;

fn condemned(body: u128, removed: u32, chunks: u32) -> (CondemnedId, Condemned) {
    let id = CondemnedId { since_ms: 7, body: BodyId(body) };
    (id, Condemned { chunks, removed, bytes: u64::from(chunks) })
}

fn step(body: u128, start: u32, end: u32) -> ReclaimStep {
    ReclaimStep { body: BodyId(body), start, end, since_ms: 7 }
}

#[test]
fn a_command_stays_within_its_bound_and_goes_on_where_the_last_one_ended() {
    let bodies = [condemned(1, 0, 3), condemned(2, 100, 700), condemned(3, 0, 1)];
    let steps = plan(bodies.into_iter());
    assert_eq!(steps, [step(1, 0, 3), step(2, 100, 100 + RECLAIM_CHUNKS_MAX - 3)]);
    let rest = plan([condemned(2, steps[1].end, 700), condemned(3, 0, 1)].into_iter());
    assert_eq!(rest, [step(2, steps[1].end, 700), step(3, 0, 1)]);
}

#[test]
fn a_body_is_pinned_until_its_last_pin_is_gone() {
    let pins = Rc::new(Pins::default());
    let one = pins.begin().pin([BodyId(1), BodyId(2)].into_iter());
    let other = pins.begin().pin([BodyId(2)].into_iter());
    drop(one);
    assert!(!pins.is_pinned(BodyId(1)) && pins.is_pinned(BodyId(2)));
    drop(other);
    assert_eq!(pins.count(), 0);
}

#[test]
fn a_fence_waits_for_tickets_from_before_it_alone() {
    let pins = Rc::new(Pins::default());
    let before = pins.begin();
    let fence = pins.fence();
    let after = pins.begin();
    assert!(!pins.has_passed(fence));
    drop(before);
    assert!(pins.has_passed(fence));
    drop(after);
    assert!(pins.has_passed(fence));
}
