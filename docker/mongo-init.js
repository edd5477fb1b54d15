// Makes the replica set `tapedeck` of the members in MEMBERS, once, and waits for its primary.
const members = process.env.MEMBERS.split(",").map((host, _id) => ({ _id, host }));
try {
  rs.status();
  print("the replica set is there already");
} catch (e) {
  if (e.codeName !== "NotYetInitialized") throw e;
  rs.initiate({ _id: "tapedeck", members });
}
const end = Date.now() + 60000;
while (!db.hello().isWritablePrimary && !db.hello().primary) {
  if (Date.now() > end) throw new Error("the replica set has no primary after 60 s: see the mongods' logs");
  sleep(500);
}
print(`primary: ${db.hello().primary}`);
