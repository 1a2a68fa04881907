//! Section 3: how a template and its values become a key.

use std::fmt;

use lock_runtime::{LockError, LockManager, distributed_lock};

use crate::support::key_here;

type Key = Result<String, LockError>;

#[distributed_lock(key = "order:<id>", manager = locks)]
async fn order(locks: &LockManager, id: &str) -> Key {
    Ok(key_here())
}

async fn encoded(value: &str) -> String {
    let key = order(&LockManager::in_memory(), value).await.unwrap();
    key.strip_prefix("order:").unwrap().to_owned()
}

#[tokio::test]
async fn a_value_is_encoded_where_it_holds_a_separator_a_brace_a_space_a_percent_or_a_control_character() {
    let encodings = [
        (" ", "%20"),
        ("%", "%25"),
        (":", "%3A"),
        ("/", "%2F"),
        ("|", "%7C"),
        ("#", "%23"),
        ("{", "%7B"),
        ("}", "%7D"),
        ("\0", "%00"),
        ("\t", "%09"),
        ("\n", "%0A"),
        ("\u{1f}", "%1F"),
        ("\u{7f}", "%7F"),
        ("\u{85}", "%C2%85"),
        ("%20", "%2520"),
        ("a b:c", "a%20b%3Ac"),
    ];
    for (value, expected) in encodings {
        assert_eq!(encoded(value).await, expected, "of {value:?}");
    }
}

#[tokio::test]
async fn every_other_character_of_a_value_stays_as_it_is() {
    for value in [
        "azAZ09",
        "-_.~!*'()",
        "<>[]^`\"\\,;=+@$&?",
        "Größe",
        "注文",
        "🔒",
        "\u{a0}",
        "\u{301}",
    ] {
        assert_eq!(encoded(value).await, value);
    }
}

#[tokio::test]
async fn an_empty_value_leaves_its_place_empty() {
    let locks = LockManager::in_memory();
    assert_eq!(pair(&locks, "", "").await.unwrap(), "order::");
    assert_eq!(pair(&locks, "", "x").await.unwrap(), "order::x");
    assert_eq!(pair(&locks, "x", "").await.unwrap(), "order:x:");
}

#[distributed_lock(key = "order:<a>:<b>", manager = locks)]
async fn pair(locks: &LockManager, a: &str, b: &str) -> Key {
    Ok(key_here())
}

#[tokio::test]
async fn values_that_hold_the_separator_make_different_keys() {
    let locks = LockManager::in_memory();
    assert_eq!(pair(&locks, "1:2", "3").await.unwrap(), "order:1%3A2:3");
    assert_eq!(pair(&locks, "1", "2:3").await.unwrap(), "order:1:2%3A3");
}

#[tokio::test]
async fn doubled_brackets_stand_for_themselves() {
    #[distributed_lock(key = "<<a>>:<id>:<<<id>>>", manager = locks)]
    async fn bracketed(locks: &LockManager, id: u8) -> Key {
        Ok(key_here())
    }
    assert_eq!(bracketed(&LockManager::in_memory(), 7).await.unwrap(), "<a>:7:<7>");
}

#[tokio::test]
async fn a_template_may_have_no_placeholder() {
    #[distributed_lock(key = "nightly report", manager = locks)]
    async fn nightly(locks: &LockManager) -> Key {
        Ok(key_here())
    }
    assert_eq!(nightly(&LockManager::in_memory()).await.unwrap(), "nightly report");
}

#[tokio::test]
async fn the_literal_text_of_a_template_is_not_encoded() {
    #[distributed_lock(key = "{größe} 100% a/b|c#d:<id>", manager = locks)]
    async fn literal(locks: &LockManager, id: u8) -> Key {
        Ok(key_here())
    }
    assert_eq!(
        literal(&LockManager::in_memory(), 1).await.unwrap(),
        "{größe} 100% a/b|c#d:1"
    );
}

#[tokio::test]
async fn each_of_the_four_separators_keeps_two_placeholders_apart() {
    #[distributed_lock(key = "<a>:<b>/<c>|<d>#<e>", manager = locks)]
    async fn separated(locks: &LockManager, a: u8, b: u8, c: u8, d: u8, e: u8) -> Key {
        Ok(key_here())
    }
    assert_eq!(
        separated(&LockManager::in_memory(), 1, 2, 3, 4, 5).await.unwrap(),
        "1:2/3|4#5"
    );
}

#[tokio::test]
async fn one_parameter_may_stand_in_a_template_twice() {
    #[distributed_lock(key = "<id>:again:<id>", manager = locks)]
    async fn twice(locks: &LockManager, id: &str) -> Key {
        Ok(key_here())
    }
    assert_eq!(
        twice(&LockManager::in_memory(), "a:b").await.unwrap(),
        "a%3Ab:again:a%3Ab"
    );
}

struct Order {
    id: u64,
    customer: Customer,
    lines: (u8, (&'static str, i16)),
}

struct Customer {
    name: &'static str,
}

impl Customer {
    fn short(&self) -> &str {
        &self.name[..1]
    }
}

const ORDER: Order = Order {
    id: 42,
    customer: Customer { name: "a/b" },
    lines: (3, ("x:y", -4)),
};

#[tokio::test]
async fn a_placeholder_is_a_path_of_fields_tuple_fields_and_methods() {
    #[distributed_lock(
        key = "<order.id>:<order.customer.name>:<order.customer.short()>:<order.lines.0>:<order.lines.1.0>:<order.lines.1.1.abs()>",
        manager = locks
    )]
    async fn path(locks: &LockManager, order: &Order) -> Key {
        Ok(key_here())
    }
    let key = path(&LockManager::in_memory(), &ORDER).await.unwrap();
    assert_eq!(key, "42:a%2Fb:a:3:x%3Ay:4");
}

#[tokio::test]
async fn a_placeholder_may_begin_at_self() {
    struct Shop {
        locks: LockManager,
        name: String,
    }
    impl Shop {
        fn town(&self) -> &'static str {
            "Ulm"
        }

        #[distributed_lock(key = "<self.name>:<self.town()>:<id>", manager = self.locks)]
        async fn ship(&self, id: u64) -> Key {
            Ok(key_here())
        }
    }
    let shop = Shop {
        locks: LockManager::in_memory(),
        name: "north".into(),
    };
    assert_eq!(shop.ship(9).await.unwrap(), "north:Ulm:9");
}

#[tokio::test]
async fn a_value_is_formatted_with_display() {
    struct Loud;
    impl fmt::Display for Loud {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            // In two pieces: neither may be lost, and each is encoded.
            f.write_str("LO:")?;
            f.write_str("UD")
        }
    }
    #[distributed_lock(key = "<a>:<b>:<c>:<d>:<e>", manager = locks)]
    async fn shown(locks: &LockManager, a: Loud, b: bool, c: f32, d: i8, e: char) -> Key {
        Ok(key_here())
    }
    let key = shown(&LockManager::in_memory(), Loud, true, 1.5, -1, '#')
        .await
        .unwrap();
    assert_eq!(key, "LO%3AUD:true:1.5:-1:%23");
}

#[tokio::test]
async fn a_placeholder_may_name_what_a_pattern_binds() {
    #[distributed_lock(key = "<a>:<b>", manager = locks)]
    async fn taken_apart(locks: &LockManager, (a, _): (u8, u8), Named { b }: Named) -> Key {
        Ok(format!("{} {a} {b}", key_here()))
    }
    struct Named {
        b: &'static str,
    }
    let key = taken_apart(&LockManager::in_memory(), (1, 2), Named { b: "x" })
        .await
        .unwrap();
    assert_eq!(key, "1:x 1 x");
}
