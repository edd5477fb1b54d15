// Starts the run that the form describes, through Airflow's API as whoever is logged in.
"use strict";
const form = document.getElementById("run");
const answer = document.getElementById("answer");

function valueOf(field) {
  const text = field.value.trim();
  switch (field.dataset.type) {
    case "boolean": return field.checked;
    case "integer": return text === "" ? null : /^\d+$/.test(text) ? Number(text) : text;
    case "array":
      return field.multiple ? [...field.selectedOptions].map((one) => one.value)
        : field.value.split(/[\n,]/).map((one) => one.trim()).filter((one) => one !== "");
    default: return text === "" && !field.required ? null : text;
  }
}

function say(text, isWrong) {
  answer.textContent = text;
  answer.className = isWrong ? "wrong" : "";
}

function sentence(detail) {
  if (Array.isArray(detail)) return detail.map((one) => one.msg || JSON.stringify(one)).join("; ");
  const text = typeof detail === "string" ? detail : JSON.stringify(detail);
  return text.split("\n")[0];
}

// Inside Airflow this page is in a frame, which may not leave it but by a link of its parent's.
function show(run) {
  const path = `dags/${encodeURIComponent(form.dataset.dag)}/runs/${encodeURIComponent(run)}`;
  const link = document.createElement("a");
  link.textContent = `The run ${run} has started: see it.`;
  link.id = "started";
  link.href = new URL(`../../${path}`, document.baseURI).href;
  link.addEventListener("click", (event) => {
    if (window.parent === window) return;
    event.preventDefault();
    const outside = window.parent.document.createElement("a");
    outside.href = link.href;
    window.parent.document.body.append(outside);
    outside.click();
    outside.remove();
  });
  answer.className = "";
  answer.replaceChildren(link);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const fields = [...form.querySelectorAll("[data-type]")];
  const empty = fields.find((one) => one.required && one.value.trim() === "");
  if (empty) {
    say(`Give a value for “${empty.labels[0].textContent}”.`, true);
    empty.focus();
    return;
  }
  const conf = Object.fromEntries(fields.map((one) => [one.name, valueOf(one)]));
  const button = form.querySelector("button");
  button.disabled = true;
  say("Starting…", false);
  try {
    const response = await fetch(`../../api/v2/dags/${encodeURIComponent(form.dataset.dag)}/dagRuns`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ logical_date: null, conf: { ...conf, start: null, end: null } }),
    });
    const told = await response.json().catch(() => ({}));
    if (response.ok) show(told.dag_run_id);
    else if (response.status === 403) say("You may not start runs: ask someone who may (Airflow's roles user, op, admin).", true);
    else if (response.status === 401) say("You are not logged in any more: log in, then press Start again.", true);
    else say(`Airflow says (${response.status}): ${sentence(told.detail)}`, true);
  } catch (error) {
    say(`Airflow does not answer (${error.message}): nothing was started.`, true);
  } finally {
    button.disabled = false;
  }
});

form.querySelector("button").disabled = false; // before this the browser itself would send the form
