//! A tree may be deeper than the stack.

use convoke_xmpp::Element;

const DEPTH: usize = 1_000_000;
const STACK: usize = 256 * 1024;

#[test]
fn dropping_a_deep_tree_does_not_recurse() {
    let build_and_drop = || {
        let tree = (0..DEPTH).fold(Element::new("a", "urn:a"), |inner, _| Element::new("a", "urn:a").child(inner));
        assert_eq!(tree.children().count(), 1);
        drop(tree);
    };
    std::thread::Builder::new().stack_size(STACK).spawn(build_and_drop).unwrap().join().unwrap();
}
