use super::*;

#[test]
fn a_small_put_is_one_durable_write_and_a_new_object_needs_no_read() {
    let figure = |cost: Cost, name: &str| {
        let nth = FIGURE_NAMES.iter().position(|known| *known == name);
        cost[nth.expect("a figure has this name")]
    };
    let put = measure(Operation::PutSmall);
    assert!((1.0..1.1).contains(&figure(put, "device_writes")), "{put:?}");
    assert!((1.0..1.1).contains(&figure(put, "flushes")), "{put:?}");
    // Half of the objects are on the other shard: a question and an answer.
    assert!((1.0..1.1).contains(&figure(put, "messages")), "{put:?}");
    let get = measure(Operation::GetNew);
    assert!(figure(get, "device_reads") < 0.1, "{get:?}");
    assert!(figure(get, "polls") < figure(put, "polls"), "{get:?}, {put:?}");
}

#[test]
fn the_same_operation_costs_the_same_again() {
    let costs = [(); 2].map(|()| {
        let mut costs = Baseline::default();
        costs.set(Operation::Delete, &measure(Operation::Delete));
        costs
    });
    assert_eq!(costs[0], costs[1]);
}
