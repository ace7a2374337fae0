// Shows openapi.json. Text only ever becomes text: nothing is parsed as HTML.
"use strict";

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function resolved(schema, all, seen) {
  if (Array.isArray(schema)) return schema.map((part) => resolved(part, all, seen));
  if (schema === null || typeof schema !== "object") return schema;
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    return seen.includes(name) || seen.length > 4 ? { type: name } : resolved(all[name], all, [...seen, name]);
  }
  return Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, resolved(value, all, seen)]));
}

// A schema as an example of itself: field names with their types, comments left to the contract.
function outline(schema) {
  if (schema.allOf) return Object.assign({}, ...schema.allOf.map(outline));
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.type === "array") return [schema.items ? outline(schema.items) : "any"];
  if (schema.properties) return Object.fromEntries(Object.entries(schema.properties).map(([name, part]) => [name, outline(part)]));
  if (schema.additionalProperties) return { "<key>": outline(schema.additionalProperties) };
  return schema.format || schema.type || "any";
}

function example(title, schema, all) {
  const text = JSON.stringify(outline(resolved(schema, all, [])), null, 2);
  return element("div", "", element("h4", "", title), element("pre", "", text));
}

function parameters(list) {
  const table = element("table", "", element("tr", "", ...["parameter", "in", ""].map((name) => element("th", "", name))));
  for (const one of list) {
    table.append(element("tr", "", element("td", "", element("code", "", one.name)), element("td", "dim", one.in),
      element("td", "", one.description || one.schema.description || "")));
  }
  return table;
}

function operation(path, verb, about, all) {
  const inside = element("div", "", element("p", "comment", about.description || ""));
  if (about.parameters.length) inside.append(parameters(about.parameters));
  const body = about.requestBody?.content["application/json"];
  if (body) inside.append(example("Body", body.schema, all));
  for (const [status, response] of Object.entries(about.responses)) {
    if (status === "default") continue;
    const content = response.content?.["application/json"] || response.content?.["application/x-ndjson"];
    inside.append(content ? example(`${status}: ${response.description}`, content.schema, all) : element("p", "", `${status}: ${response.description}`));
  }
  const summary = element("summary", "", element("span", "verb", verb.toUpperCase()), element("code", "", path), " ",
    element("span", "dim", about.summary));
  return element("details", "", summary, inside);
}

async function show() {
  const document_ = await (await fetch("openapi.json")).json();
  document.getElementById("about").textContent = document_.info.description;
  const main = document.getElementById("operations");
  for (const tag of document_.tags) {
    main.append(element("h2", "", tag.name), element("p", "comment", tag.description));
    for (const [path, verbs] of Object.entries(document_.paths)) {
      for (const [verb, about] of Object.entries(verbs)) {
        if (about.tags.includes(tag.name)) {
          main.append(operation(document_.servers[0].url + path, verb, about, document_.components.schemas));
        }
      }
    }
  }
}

show().catch((error) => { document.getElementById("about").textContent = `openapi.json cannot be shown: ${error}`; });
