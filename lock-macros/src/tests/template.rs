//! Templates: every text is either read as its author meant it, or refused.

use super::*;
use proptest::prelude::*;

fn placeholder(text: &str) -> Placeholder {
    match parse(&format!("<{text}>")).as_deref() {
        Ok([Part::Placeholder(placeholder)]) => placeholder.clone(),
        other => panic!("{text}: {other:?}"),
    }
}

fn problems(text: &str) -> Vec<String> {
    parse(text).expect_err("the template is wrong")
}

#[test]
fn literals_and_placeholders_alternate() {
    let parts = parse("order:<id>/x:<name>").unwrap();
    let [
        Part::Literal(a),
        Part::Placeholder(b),
        Part::Literal(c),
        Part::Placeholder(d),
    ] = parts.as_slice()
    else {
        panic!("{parts:?}");
    };
    assert_eq!(
        (a.as_str(), b.root.as_str(), c.as_str(), d.root.as_str()),
        ("order:", "id", "/x:", "name")
    );
}

#[test]
fn doubled_brackets_are_literal() {
    assert_eq!(parse("a<<b>>c"), Ok(vec![Part::Literal("a<b>c".to_owned())]));
    let parts = parse("<<<id>>>").unwrap();
    assert_eq!(parts[0], Part::Literal("<".to_owned()));
    assert_eq!(parts[2], Part::Literal(">".to_owned()));
}

#[test]
fn accesses_follow_the_root() {
    let order = placeholder("order.lines.0.first().r#type");
    assert_eq!(order.root, "order");
    assert_eq!(
        order.accesses,
        [
            Access::Field("lines".to_owned()),
            Access::Index(0),
            Access::Method("first".to_owned()),
            Access::Field("type".to_owned()),
        ]
    );
    assert_eq!(placeholder("self").root, "self");
    assert_eq!(placeholder("r#type").root, "type");
    assert_eq!(placeholder("type").root, "type");
    assert_eq!(placeholder("größe").root, "größe");
}

#[test]
fn what_is_no_path_is_no_placeholder() {
    for text in [
        "",
        " ",
        "id ",
        " id",
        "1",
        "1a",
        "id.",
        ".id",
        "id..x",
        "id()",
        "id.f(1)",
        "id.f()()",
        "id + 1",
        "id[0]",
        "a::b",
        "&id",
        "*id",
        "id?",
        "id.await",
        "id.self",
        "id.self()",
        "_",
        "id._",
        "id.00",
        "id.01",
        "id.99999999999",
        "r#self",
        "id.f::<u8>()",
        "a,b",
        "\"x\"",
        "id/*x*/",
        "id//",
        "crate",
        "Self",
        "super",
    ] {
        assert!(parse(&format!("<{text}>")).is_err(), "<{text}>");
    }
}

#[test]
fn every_problem_is_reported_with_its_place() {
    let problems = problems("ä> <> <1>");
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems[0].contains("character 2"), "{problems:?}");
    assert!(problems[1].contains("character 4"), "{problems:?}");
    assert!(problems[2].contains("character 7"), "{problems:?}");
}

#[test]
fn placeholders_need_a_separator_between_them() {
    for separator in SEPARATORS {
        assert!(parse(&format!("<a>{separator}<b>")).is_ok());
        assert!(parse(&format!("<a>x{separator}x<b>")).is_ok());
    }
    for other in ["", "-", "x", "<<", ">>", ".", " ", "%", "{}"] {
        assert!(
            problems(&format!("<a>{other}<b>"))[0].contains("between them"),
            "{other}"
        );
    }
    assert_eq!(problems("<a><b>-<c>").len(), 2);
}

#[test]
fn a_text_longer_than_a_key_is_refused() {
    assert!(parse(&"x".repeat(LONGEST_KEY)).is_ok());
    assert!(problems(&"x".repeat(LONGEST_KEY + 1))[0].contains("1025 bytes"));
    assert!(parse(&"<<".repeat(LONGEST_KEY)).is_ok(), "doubled brackets count once");
}

proptest! {
    #[test]
    fn no_text_panics(text in ".*") {
        let _ = parse(&text);
    }

    #[test]
    fn text_in_brackets_and_out_of_them_does_not_panic(text in "[<>a-z0-9.()#_:/ -]{0,40}") {
        let _ = parse(&text);
    }

    #[test]
    fn any_text_can_be_written_as_a_literal(text in ".{1,100}") {
        let written = text.replace('<', "<<").replace('>', ">>");
        prop_assert_eq!(parse(&written), Ok(vec![Part::Literal(text)]));
    }

    #[test]
    fn any_path_is_read_as_it_is_written(
        root in "[a-z][a-z0-9]{3,8}x",
        accesses in prop::collection::vec(
            prop_oneof![
                "[a-z][a-z0-9]{3,8}x".prop_map(Access::Field),
                (0..1000_u32).prop_map(Access::Index),
                "[a-z][a-z0-9]{3,8}x".prop_map(Access::Method),
            ],
            0..5,
        ),
    ) {
        let mut text = root.clone();
        for access in &accesses {
            text += &match access {
                Access::Field(name) => format!(".{name}"),
                Access::Index(index) => format!(".{index}"),
                Access::Method(name) => format!(".{name}()"),
            };
        }
        let read = placeholder(&text);
        prop_assert_eq!((read.root, read.accesses), (root, accesses));
    }
}

#[test]
fn what_is_no_name_is_shown() {
    for (text, expected) in [
        ("<a..b>", "has a part without a name"),
        ("<a.>", "has a part without a name"),
        ("<a.1x>", "has `1x` where a name is expected"),
        ("<a+b>", "has `a+b` where a name is expected"),
    ] {
        let problems = parse(text).expect_err(text);
        assert!(
            matches!(problems.as_slice(), [problem] if problem.contains(expected)),
            "{problems:?}"
        );
    }
}
