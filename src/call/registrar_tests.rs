//! Bindings as registrars list them (RFC 3261 10.3): to several phones, and over several hops.

use super::bindings::BindingCounts;
use super::tests::{SECOND, Scene, Text};
use super::*;

const PHONE: u8 = 1;
const BORDER: u8 = 9;
const REGISTRAR: u8 = 20;

fn scene() -> Scene {
    Scene::new(Settings { registrations: true, ..Settings::default() })
}

/// A contact at that host, bound for so many seconds.
fn contact(host: u8, seconds: u64) -> String {
    format!("Contact: <sip:bob@192.0.2.{host}>;expires={seconds}\n")
}

/// A REGISTER over one hop, which passes `inside` on before it is answered.
fn register(
    scene: &mut Scene,
    (from, to): (u8, u8),
    (call_id, number): (&str, u64),
    (asked, listed): (&str, &str),
    inside: impl FnOnce(&mut Scene),
) {
    let (branch, cseq) = (format!("{from}-{number}"), format!("{number} REGISTER"));
    let text = Text { call_id, branch: &branch, cseq: &cseq, extra: asked, ..Text::default() };
    scene.send(from, to, &text.with("REGISTER sip:b.example SIP/2.0"));
    inside(scene);
    scene.send(to, from, &Text { to_tag: "r", extra: listed, ..text }.with("SIP/2.0 200 OK"));
}

/// A phone's REGISTER by way of a border controller; `behind` is the contact's host at the registrar.
fn through(scene: &mut Scene, call_ids: [&str; 2], number: u64, behind: u8, seconds: u64) {
    let [phone, border] = call_ids;
    let [outer, inner] = [PHONE, behind].map(|host| contact(host, seconds));
    let [of_phone, of_border] =
        [&outer, &inner].map(|asked| if seconds > 0 { asked.as_str() } else { "Expires: 0\n" });
    register(scene, (PHONE, BORDER), (phone, number), (&outer, of_phone), |scene| {
        register(scene, (BORDER, REGISTRAR), (border, number), (&inner, of_border), |_| {});
    });
}

fn counts(scene: Scene) -> (BindingCounts, Vec<CallRecord>) {
    let (records, _, census) = scene.end();
    (census.bindings, records)
}

/// Each hop has a registrar of its own, which lists what it bound: a border controller that writes another contact is one
/// (RFC 3261 10.3, step 8). What it says nothing of is still there.
#[test]
fn two_hops_with_contacts_of_their_own_leave_each_other_alone() {
    for call_ids in [["c1", "c1"], ["c1", "c2"]] {
        let mut scene = scene();
        for number in 1..=10 {
            through(&mut scene, call_ids, number, BORDER, 60);
            scene.wait(50 * SECOND);
        }
        let (both, _) = counts(scene);
        let wanted = BindingCounts { active: 2, added: 2, refreshed: 18, ..BindingCounts::default() };
        assert_eq!(both, wanted, "{call_ids:?}");
    }
}

#[test]
fn a_phone_behind_a_border_controller_goes_and_comes_back_late() {
    let mut scene = scene();
    through(&mut scene, ["c1", "c1"], 1, BORDER, 60);
    scene.wait(100 * SECOND);
    through(&mut scene, ["c1", "c1"], 2, BORDER, 60);
    scene.wait(50 * SECOND);
    through(&mut scene, ["c1", "c1"], 3, BORDER, 60);
    scene.wait(SECOND);
    through(&mut scene, ["c1", "c1"], 4, BORDER, 0);
    let (both, records) = counts(scene);
    let wanted = BindingCounts {
        active: 0,
        added: 4,
        refreshed: 2,
        removed: 2,
        expired: 2,
        returned: 2,
        ..BindingCounts::default()
    };
    assert_eq!(both, wanted);
    let is_late = |record: &&CallRecord| record.findings.iter().any(|it| it.code == "registered_late");
    assert_eq!(records.iter().filter(is_late).count(), 1);
}

/// RFC 3327, a P-CSCF: the contact is the phone's at the registrar too.
#[test]
fn one_register_over_two_hops_refreshes_once() {
    let mut scene = scene();
    for (number, wait) in [(1, 300), (2, 280), (3, 1)] {
        through(&mut scene, ["c1", "c1"], number, PHONE, 600);
        scene.wait(wait * SECOND);
    }
    let (one, _) = counts(scene);
    assert_eq!(one, BindingCounts { active: 1, added: 1, refreshed: 2, ..BindingCounts::default() });
}

/// RFC 3261 10.3, step 8: the answer lists all current bindings, each with what is left of its time.
#[test]
fn what_is_listed_beside_a_binding_is_not_refreshed() {
    let mut scene = scene();
    let mut ends = Vec::<(u8, u64)>::new();
    let mut now = 0;
    for (number, phone, wait) in [(1, 1, 10), (1, 2, 10), (1, 3, 480), (2, 1, 10), (2, 2, 10), (2, 3, 10)] {
        ends.retain(|(known, _)| *known != phone);
        ends.push((phone, now + 600));
        let listed: String = ends.iter().map(|(phone, end)| contact(*phone, end - now)).collect();
        let call_id = format!("c{phone}");
        register(&mut scene, (phone, REGISTRAR), (&call_id, number), (&contact(phone, 600), &listed), |_| {});
        scene.wait(wait * SECOND - 200);
        now += wait;
    }
    let (three, _) = counts(scene);
    assert_eq!(three, BindingCounts { active: 3, added: 3, refreshed: 3, ..BindingCounts::default() });
}

/// Whichever of its hosts answers, a cluster knows all bindings.
#[test]
fn a_phone_may_leave_another_host_of_a_cluster_than_it_came_to() {
    const OTHER: u8 = 21;
    let mut scene = scene();
    let bound = contact(PHONE, 600);
    register(&mut scene, (PHONE, REGISTRAR), ("c1", 1), (&bound, &bound), |_| {});
    scene.wait(300 * SECOND);
    register(&mut scene, (PHONE, OTHER), ("c1", 2), (&bound, &bound), |_| {});
    scene.wait(100 * SECOND);
    register(&mut scene, (PHONE, REGISTRAR), ("c1", 3), (&contact(PHONE, 0), ""), |_| {});
    let (one, _) = counts(scene);
    assert_eq!(one, BindingCounts { added: 1, refreshed: 1, removed: 1, ..BindingCounts::default() });
}

/// Somebody registers another phone, and another host of the cluster answers: the list has that one alone.
#[test]
fn another_host_of_a_cluster_lists_all_there_are() {
    let mut scene = scene();
    for (phone, registrar) in [(PHONE, REGISTRAR), (2, 21), (3, 22)] {
        let bound = contact(phone, 600);
        register(&mut scene, (phone, registrar), (&format!("c{phone}"), 1), (&bound, &bound), |_| {});
        scene.wait(5 * SECOND);
    }
    let (one, _) = counts(scene);
    assert_eq!(one, BindingCounts { active: 1, added: 3, removed: 2, ..BindingCounts::default() });
}
