#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

#[test]
fn inner_addresses_are_told_from_public_ones() {
    let inner_ones = [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:10::1",
        "2001:20::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:808:808::",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ];
    for text in inner_ones {
        assert!(inner(text.parse().unwrap()).is_some(), "{text} is an inner address");
    }
    let public_ones = [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.1",
        "172.15.0.1",
        "172.32.0.1",
        "198.17.0.1",
        "198.20.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2001:4860:4860::8888",
        "2606:4700::1111",
        "2a00::1",
    ];
    for text in public_ones {
        assert_eq!(inner(text.parse().unwrap()), None, "{text} is a public address");
    }
}

#[test]
fn every_spelling_of_an_address_in_a_url_is_the_address() {
    let reach = Reach::public();
    let spellings = [
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://127.0.0.1./",
        "http://[::ffff:7f00:1]/",
        "http://[0:0:0:0:0:ffff:127.0.0.1]/",
        "http://１２７.0.0.1/",
        "http://127。0。0。1/",
        "http://user@127.0.0.1/",
        "http://0/",
    ];
    for spelling in spellings {
        let url = Url::parse(spelling).unwrap();
        assert!(reach.check_url(&url).is_err(), "{spelling} leads to this machine");
    }
    assert!(reach.check_url(&Url::parse("https://8.8.8.8/").unwrap()).is_ok());
}

#[tokio::test]
async fn a_name_with_an_inner_address_is_refused_unless_that_is_granted() {
    let error = Reach::public().look_up("localhost", 80).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    let unreachable = error.get_ref().unwrap().downcast_ref::<Unreachable>().unwrap();
    assert!(unreachable.to_string().contains("which is a loopback address"), "{unreachable}");
    let granted = ["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
    assert!(!Reach::public().and(granted).look_up("localhost", 80).await.unwrap().is_empty());
}

#[test]
fn a_granted_address_is_that_address_in_its_mapped_form_too() {
    let reach = Reach::public().and(["10.0.0.1".parse().unwrap()]);
    assert!(reach.check_address("::ffff:10.0.0.1".parse().unwrap()).is_ok());
    assert_eq!(reach.check_address("10.0.0.2".parse().unwrap()), Err("a private address"));
    let only = Reach::only(vec!["10.0.0.1".parse().unwrap()]);
    assert_eq!(only.check_address("8.8.8.8".parse().unwrap()), Err("an address that is not granted"));
}
