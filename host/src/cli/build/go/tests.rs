//! Imports that do not run in a component are found.

use super::*;

#[test]
fn imports_are_found_in_every_spelling() {
    for line in ["\t\"net\"", "import \"net\"", "import web \"net\"", "\t_ \"net\" // why"] {
        assert_eq!(refused(line).map(|(package, _)| package), Some("net"), "{line}");
    }
    for line in ["x := \"net\"", "\t\"net/url\"", "fmt.Println(\"net\")", "// \"net\""] {
        assert_eq!(refused(line), None, "{line}");
    }
}
