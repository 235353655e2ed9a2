//! What a document may be, and what its answer may cost.

/// What a GraphQL document may ask for. All but the cost are checked before the document is parsed or compared with the
/// schema, in time that grows with its length alone.
#[derive(Clone, Debug, clap::Args)]
pub struct QueryConfig {
    /// Names, values and punctuation marks of a document. The introspection query of the usual tools has some 400; ids
    /// belong into variables, which do not count
    #[arg(
        long,
        env = "ROWLOCK_QUERY_TOKENS",
        value_name = "N",
        default_value = "10000", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub query_tokens: u64,

    /// Levels of selections within each other, those of fragments included. The usual introspection query has 18. More
    /// need more of a thread's stack
    #[arg(
        long,
        env = "ROWLOCK_QUERY_DEPTH",
        value_name = "N",
        default_value = "32", value_parser = clap::value_parser!(u64).range(1..=64))]
    pub query_depth: u64,

    /// Levels of lists and input objects within each other, as written in a document. The schema's own inputs have 4
    #[arg(
        long,
        env = "ROWLOCK_QUERY_VALUE_DEPTH",
        value_name = "N",
        default_value = "16", value_parser = clap::value_parser!(u64).range(1..=64))]
    pub query_value_depth: u64,

    /// Operations and fragments of a document. A frontend sends one operation and a fragment for each of its parts
    #[arg(
        long,
        env = "ROWLOCK_QUERY_DEFINITIONS",
        value_name = "N",
        default_value = "200", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub query_definitions: u64,

    /// Aliases of a document: each asks for a field once more
    #[arg(
        long,
        env = "ROWLOCK_QUERY_ALIASES",
        value_name = "N",
        default_value = "200", value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    pub query_aliases: u64,

    /// Directives of a document, such as @include
    #[arg(
        long,
        env = "ROWLOCK_QUERY_DIRECTIVES",
        value_name = "N",
        default_value = "200", value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    pub query_directives: u64,

    /// Fields that an operation selects of the query or the mutation itself. Each mutation is a sale of its own, and each
    /// query one read of the database or more
    #[arg(
        long,
        env = "ROWLOCK_QUERY_ROOT_FIELDS",
        value_name = "N",
        default_value = "50", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub query_root_fields: u64,

    /// Fields and fragments that a document selects, what a fragment selects counted wherever it is spread. Validation and
    /// execution take time in proportion to it
    #[arg(
        long,
        env = "ROWLOCK_QUERY_SELECTIONS",
        value_name = "N",
        default_value = "5000", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub query_selections: u64,

    /// Fields that an answer may have: what is selected of a page's items counts once for each item that is asked for by
    /// first or last. Every answer tells its own in extensions.cost
    #[arg(
        long,
        env = "ROWLOCK_QUERY_COST",
        value_name = "N",
        default_value = "10000", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub query_cost: u64,

    /// Whether clients may ask for the schema, and are told what they may have meant. With off, every document that does
    /// not fit the schema gets one and the same error, so that nothing of it can be guessed
    #[arg(
        long,
        env = "ROWLOCK_INTROSPECTION",
        value_name = "SWITCH",
        default_value = "on"
    )]
    pub introspection: Switch,

    /// Whether this is a subgraph of a federation (Apollo Federation 2): a router may ask for objects by type and id. What
    /// it composes is printed by rowlock schema --federation
    #[arg(
        long,
        env = "ROWLOCK_FEDERATION",
        value_name = "SWITCH",
        default_value = "off"
    )]
    pub federation: Switch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Switch {
    On,
    Off,
}

impl QueryConfig {
    pub fn is_introspection_on(&self) -> bool {
        self.introspection == Switch::On
    }
}

impl Default for QueryConfig {
    /// What a server has when nothing is set.
    fn default() -> Self {
        #[derive(clap::Parser)]
        struct Defaults {
            #[command(flatten)]
            query: QueryConfig,
        }
        <Defaults as clap::Parser>::parse_from(["defaults"]).query
    }
}
