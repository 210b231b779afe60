/** The rules that oxlint does not have; loaded by oxlint.config.ts. */
const noClock = {
  create: (context) => ({
    NewExpression(node) {
      const { callee } = node;
      if (callee.type === "Identifier" && callee.name === "Date" && node.arguments.length === 0) {
        context.report({ node, message: "`new Date()` reads the clock: take `now` as a parameter." });
      }
    },
  }),
};

export default { meta: { name: "tollgate" }, rules: { "no-clock": noClock } };
