/** Each brings the database from the version that is its index to the next. Never edit one that has shipped; add another. */
export const migrations: readonly string[] = [
	`
CREATE TABLE boxes (
	id text PRIMARY KEY,
	serial text NOT NULL,
	region text NOT NULL,
	issued_at bigint NOT NULL,
	first_seen bigint NOT NULL,
	session text,
	online boolean NOT NULL DEFAULT false,
	-- By the headend's clock: when online last turned to what it is.
	turned_at bigint NOT NULL,
	since bigint,
	power text,
	reach text,
	version text,
	revoked_at bigint
);

-- The latest fill report of each box. Counters run since the session began; past holds the sessions before it.
CREATE TABLE fills (
	box text PRIMARY KEY REFERENCES boxes(id),
	session text NOT NULL,
	received_at bigint NOT NULL,
	capacity bigint NOT NULL,
	streaming_share bigint NOT NULL,
	used bigint NOT NULL,
	transient bigint NOT NULL,
	placed bigint NOT NULL,
	held bigint NOT NULL,
	neighbours integer NOT NULL,
	counters jsonb NOT NULL,
	past jsonb NOT NULL,
	titles jsonb NOT NULL
);

-- What each box last said of its placement.
CREATE TABLE reports (
	box text PRIMARY KEY REFERENCES boxes(id),
	epoch bigint NOT NULL,
	rev bigint NOT NULL,
	phase text NOT NULL,
	code text,
	detail text,
	missing_bytes bigint,
	received_at bigint NOT NULL
);

-- What each box was last told, as it was signed.
CREATE TABLE placements (
	box text PRIMARY KEY,
	epoch bigint NOT NULL,
	rev bigint NOT NULL,
	body_sha256 text NOT NULL,
	envelope bytea NOT NULL,
	made_at bigint NOT NULL
);

-- Who is to hold each title, as it was signed; boxes and shards are the holder table's.
CREATE TABLE holders (
	region text NOT NULL,
	title text NOT NULL,
	epoch bigint NOT NULL,
	version bigint NOT NULL,
	boxes jsonb NOT NULL,
	shards jsonb NOT NULL,
	-- Copies of its shards: of the one with the fewest, and of all together.
	fewest integer NOT NULL,
	copies integer NOT NULL,
	envelope bytea NOT NULL,
	PRIMARY KEY (region, title)
);

-- How often a box was there, by hour of the week (UTC, 0 is Sunday midnight).
CREATE TABLE presence (
	box text NOT NULL REFERENCES boxes(id),
	hour smallint NOT NULL,
	looked integer NOT NULL,
	seen integer NOT NULL,
	PRIMARY KEY (box, hour)
);
`,
	`
-- What the operator gave as the reason.
ALTER TABLE boxes ADD COLUMN revoked_why text;

-- Who asked for which change, written before it is made. Rows are only added; old ones go as they are.
CREATE TABLE audit (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at bigint NOT NULL,
	who text NOT NULL,
	-- Where from; nothing when the headend itself did it.
	address text,
	request text,
	action text NOT NULL,
	subject text,
	why text
);
CREATE INDEX audit_at ON audit (at);

-- What came of it. A change without a row here was begun, and nobody knows whether it was made.
CREATE TABLE audit_outcomes (
	change bigint PRIMARY KEY REFERENCES audit(id) ON DELETE CASCADE,
	at bigint NOT NULL,
	outcome text NOT NULL,
	code text
);

CREATE FUNCTION refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'the audit log is only added to';
END
$$;
CREATE TRIGGER audit_stays BEFORE UPDATE ON audit FOR EACH ROW EXECUTE FUNCTION refuse_rewriting();
CREATE TRIGGER audit_outcomes_stay BEFORE UPDATE ON audit_outcomes FOR EACH ROW EXECUTE FUNCTION refuse_rewriting();
`,
	`
-- The serial of the key that signed it, so that it is known what is in force under older ones.
ALTER TABLE placements ADD COLUMN key_serial bigint NOT NULL DEFAULT 0;
ALTER TABLE holders ADD COLUMN key_serial bigint NOT NULL DEFAULT 0;
`,
	`
-- Titles that were taken back. One that was given back stays, so that nobody who missed that takes it back once more.
CREATE TABLE purges (
	title text PRIMARY KEY,
	-- What it was called.
	name text,
	asset_id text,
	at bigint NOT NULL,
	why text,
	countermanded_at bigint,
	-- When its key and files were removed here.
	removed_at bigint
);

-- What each box says, signed, of the titles that were taken back: of the order made at ordered.
CREATE TABLE attests (
	title text NOT NULL,
	box text NOT NULL REFERENCES boxes(id),
	ordered bigint NOT NULL,
	state text NOT NULL,
	-- When it first said that nothing is left; a box that says otherwise later has it again.
	deleted_at bigint,
	-- By the box's clock, and by the headend's.
	at bigint NOT NULL,
	received_at bigint NOT NULL,
	payload text NOT NULL,
	signature text NOT NULL,
	PRIMARY KEY (title, box)
);
`,
	`
-- Who may play what, where it differs from the mode in operator.toml. An empty box stands for every box without a rule of its own.
CREATE TABLE entitlements (
	title text NOT NULL,
	box text NOT NULL,
	rule text NOT NULL,
	at bigint NOT NULL,
	PRIMARY KEY (title, box)
);

-- The newest lease of each title's key that a box was given. Rows go when they are old, or when they are to be erased.
CREATE TABLE leases (
	box text NOT NULL,
	title text NOT NULL,
	given_at bigint NOT NULL,
	until bigint NOT NULL,
	-- Until when the entitlement callback's last yes holds.
	allowed bigint,
	-- The box was told to forget the key and has not yet said that it did.
	recalled boolean NOT NULL DEFAULT false,
	PRIMARY KEY (box, title)
);
CREATE INDEX leases_title ON leases (title);
`,
	`
-- Boxes that asked to be let in: those that wait for a person, and what became of the others.
CREATE TABLE enrolments (
	box text PRIMARY KEY,
	serial text NOT NULL,
	batch text NOT NULL,
	-- Whether it knows its own claim or one that its batch shares.
	claim text NOT NULL,
	-- Of its last question.
	nonce text NOT NULL,
	state text NOT NULL,
	why text NOT NULL,
	asked_at bigint NOT NULL,
	seen_at bigint NOT NULL,
	decided_at bigint
);
CREATE UNIQUE INDEX enrolments_waiting ON enrolments (serial) WHERE state = 'waiting';

-- Serials that are let in without a person, when there are any.
CREATE TABLE inventory (serial text PRIMARY KEY);
`,
	`
-- Bans that were only heard of: the serial of the key under which the region had them, until a person says the same.
ALTER TABLE boxes ADD COLUMN heard_under bigint;
ALTER TABLE purges ADD COLUMN heard_under bigint;
-- When a box that was shut out was let in again.
ALTER TABLE boxes ADD COLUMN readmitted_at bigint;
`,
	`
-- What a box says of releases: which are for it, and which one is on its way, on trial or did not hold.
ALTER TABLE boxes ADD COLUMN target text;
ALTER TABLE boxes ADD COLUMN update_version text;
ALTER TABLE boxes ADD COLUMN update_phase text;
ALTER TABLE boxes ADD COLUMN update_code text;

-- Releases that are brought to the boxes wave by wave. Only the newest tells boxes anything.
CREATE TABLE rollouts (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	version text NOT NULL,
	-- With a box's id it says in which wave the box is.
	seed text NOT NULL,
	waves jsonb NOT NULL,
	abort_at double precision NOT NULL,
	soak bigint NOT NULL,
	started_at bigint NOT NULL,
	state text NOT NULL,
	why text,
	wave integer NOT NULL DEFAULT 0,
	-- Since when nobody who is there is awaited in this wave.
	settled_at bigint,
	-- What failed before was forgiven.
	counted_from bigint NOT NULL
);

-- Boxes that were told, and what came of it.
CREATE TABLE rollout_boxes (
	rollout bigint NOT NULL REFERENCES rollouts(id),
	box text NOT NULL REFERENCES boxes(id),
	told_at bigint NOT NULL,
	outcome text,
	code text,
	detail text,
	ended_at bigint,
	PRIMARY KEY (rollout, box)
);
`,
	`
-- What a box's flash says of its age.
ALTER TABLE fills ADD COLUMN wear jsonb;
`,
	`
-- Whether its household takes part: in, draining or out. Older boxes do not tell, and do.
ALTER TABLE boxes ADD COLUMN part text;
`,
	`
-- What else a box says of its room and its disk. Older ones do not.
ALTER TABLE fills ADD COLUMN reserved bigint;
ALTER TABLE fills ADD COLUMN reserve bigint;
ALTER TABLE fills ADD COLUMN missing bigint;
ALTER TABLE fills ADD COLUMN written jsonb;
ALTER TABLE fills ADD COLUMN disk jsonb;
-- By the headend's clock: since when its disk is as it is, and since when some of what is placed has no room.
ALTER TABLE fills ADD COLUMN disk_at bigint;
ALTER TABLE fills ADD COLUMN missing_at bigint;
`,
	`
-- How titles were to watch, summed up by hour (since 1970); sums are numbers by name. No box is named.
CREATE TABLE quality (
	region text NOT NULL,
	hour bigint NOT NULL,
	title text NOT NULL,
	sums jsonb NOT NULL,
	PRIMARY KEY (region, hour, title)
);
CREATE INDEX quality_hour ON quality (hour);
`,
	`
-- Groups of boxes by level of the access tree, 0 is nearest. Boxes know a group by its id, which says nothing of its name.
CREATE TABLE groups (
	level integer NOT NULL,
	name text NOT NULL,
	id text NOT NULL,
	PRIMARY KEY (level, name)
);

-- Which groups a receiver is in, names by level: it may not have come yet.
CREATE TABLE places (
	serial text PRIMARY KEY,
	levels jsonb NOT NULL
);
`,
];
